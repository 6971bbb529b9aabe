"""Whether to compute in bfloat16: where the hardware does by itself, and where that gains time."""

from functools import cache

import torch
from torch import nn


def pick_precision(precision, backbone, phases):
    """What `auto` stands for in a run of these phases: bf16-mixed where that gains, else 32-true. Anything else is Lightning's to judge.

    It gains where the hardware computes in bfloat16, but on a CPU not where depthwise convolutions train: EfficientNet-B0 does so 2.4
    times as fast in float32 (two cores of a Zen 5; docs/performance.md). Of a frozen backbone the heads are what counts.
    """
    if precision != "auto":
        return precision
    device = _device()
    trains = any(phase.freeze != "all" for phase in phases)
    loses = not computes_bf16(device) or (device == "cpu" and trains and has_depthwise(backbone))
    return "32-true" if loses else "bf16-mixed"


def is_emulated(precision):
    """Whether a precision, as Lightning spells it, is one of bfloat16 that this machine has no instructions for."""
    return str(precision).startswith("bf16") and not computes_bf16(_device())


def _device():
    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def computes_bf16(device):
    """Whether the device, cuda or cpu, has instructions for bfloat16; without them it is emulated, nine times as slow as float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(flag) for flag in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def has_depthwise(net):
    """Whether a net has convolutions that see one channel each."""
    return any(isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels for module in net.modules())
