"""What precision=auto stands for: bfloat16 if the hardware supports it and the network gains time by it."""

from functools import cache

import torch
from torch import nn


def pick_precision(precision, backbone, phases):
    """The precision of a run, in Lightning's terms: for `auto` bf16-mixed if that is faster, otherwise 32-true.

    bfloat16 is faster if the hardware has instructions for it, except for depthwise convolutions that train on a CPU: EfficientNet-B0
    trains 2.4 times as fast in float32 (two cores of a Zen 5; docs/performance.md). If the backbone is frozen in all phases, only the
    head counts, which has no convolutions.
    """
    if precision != "auto":
        return precision
    device = _device()
    trains = any(phase.freeze != "all" for phase in phases)
    loses = not computes_bf16(device) or (device == "cpu" and trains and has_depthwise(backbone))
    return "32-true" if loses else "bf16-mixed"


def is_emulated(precision):
    """Whether a precision, in Lightning's terms, needs bfloat16 instructions that this machine does not have."""
    return str(precision).startswith("bf16") and not computes_bf16(_device())


def _device():
    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def computes_bf16(device):
    """Whether the device, cuda or cpu, has instructions for bfloat16; without them it is emulated, nine times slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(flag) for flag in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def has_depthwise(net):
    """Whether a network has convolutions of one input channel each."""
    return any(isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels for module in net.modules())
