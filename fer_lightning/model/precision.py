"""The precision that a run computes in; precision=auto is bfloat16 if the hardware supports it and the network gains time by it."""

from functools import cache

import torch
from torch import nn

from fer_lightning.process.errors import ConfigError

# What Lightning calls them in full, by all names that it has for them. Its others keep weights in half or double precision.
NAMES = {"auto": "auto"} | {
    name: full for full in ("32-true", "bf16-mixed", "16-mixed") for name in (full, full.removesuffix("-mixed").removesuffix("-true"))
}


def full_name(precision):
    """auto, 32-true, bf16-mixed or 16-mixed, by one of its names (32, bf16, 16); ConfigError for anything else."""
    if str(precision) not in NAMES:
        raise ConfigError(f"precision={precision}: choose auto, 32-true, bf16-mixed or, on a GPU, 16-mixed.")
    return NAMES[str(precision)]


def pick_precision(precision, backbone, phases, accelerator="auto"):
    """What a run computes in, in Lightning's terms: for `auto` bf16-mixed if that is faster, otherwise 32-true.

    accelerator: of the trainer. On a CPU Lightning computes 16-mixed in bfloat16, so there it is bf16-mixed

    bfloat16 is faster if the hardware has instructions for it, except for depthwise convolutions that train on a CPU: EfficientNet-B0
    trains 2.4 times as fast in float32 (two cores of a Zen 5; docs/performance.md). If the backbone is frozen in all phases, only the
    head counts, which has no convolutions.
    """
    precision, device = full_name(precision), _device(accelerator)
    if precision != "auto":
        return "bf16-mixed" if precision == "16-mixed" and device == "cpu" else precision
    trains = any(phase.freeze != "all" for phase in phases)
    loses = not computes_bf16(device) or (device == "cpu" and trains and has_depthwise(backbone))
    return "32-true" if loses else "bf16-mixed"


def is_emulated(precision, accelerator="auto"):
    """Whether a precision, in Lightning's terms, needs bfloat16 instructions that this machine does not have."""
    return precision == "bf16-mixed" and not computes_bf16(_device(accelerator))


def _device(accelerator):
    return "cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu"


@cache
def computes_bf16(device):
    """Whether the device, cuda or cpu, has instructions for bfloat16; without them it is emulated, nine times slower than float32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(flag) for flag in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def has_depthwise(net):
    """Whether a network has convolutions of one input channel each."""
    return any(isinstance(module, nn.Conv2d) and 1 < module.groups == module.in_channels for module in net.modules())
