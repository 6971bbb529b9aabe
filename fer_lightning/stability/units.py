"""Which hidden units of a network no longer learn, measured on a fixed set of images."""

import re

import torch
from torch import nn

# A channel whose mean slope is at most this passes almost no gradient on; for a ReLU: active on at most 5 % of its inputs.
INACTIVE = 0.05
# A channel whose mean output is at most this share of its layer's mean is dormant (Sokar et al. 2023).
DORMANT = 0.025

# ReLU, LeakyReLU, GELUTanh, SiLU, HardSwishMe, MishActivation and similar names in torch, timm and transformers. Gates (Sigmoid, Softmax,
# GLU) scale units and are no activations.
_ACTIVATION = re.compile(r"(?<!G)LU|[Ss]wish|[Mm]ish|Softplus")


def activations(module):
    """{activation module: the channel dimension of its 4-D input}. Activations that a forward method calls as functions are not found.

    The channels are dimension 1, or the last after an nn.Linear: the maps of ConvNeXt and Swin are (B, H, W, C).
    """
    found = {}
    for parent in module.modules():
        before = None
        for child in parent.children():
            if _ACTIVATION.search(type(child).__name__) and not any(child.children()):
                found[child] = -1 if isinstance(before, nn.Linear) else 1
            before = child
    return found


@torch.no_grad()
def inactive_units(forward, module, batches):
    """(dead, dormant) of the activation layers in `module` while `forward` runs over the batches; NaN if there is no such layer.

    dead:    the largest share, over the layers, of channels whose slope |phi'(z)|, averaged over images and positions, is at most 0.05
    dormant: the share, over all layers, of channels whose mean |phi(z)| is at most 0.025 of their layer's mean

    The slope is computed by autograd on the module itself, so it is right for any activation. A module that is called several times in one
    pass counts as a layer each time. A channel whose slope is NaN counts as dead.
    """
    totals, calls, images = [], [], 0

    def measure(activation, inputs):
        z = inputs[0]
        slope, size = _slope_and_size(activation, z)
        channel = layers[activation] if z.ndim == 4 else -1
        others = [d for d in range(z.ndim) if d != channel % z.ndim]
        calls.append(len(z) * torch.stack([slope.mean(others, dtype=torch.float32), size.mean(others, dtype=torch.float32)]))

    layers = activations(module)
    hooks = [activation.register_forward_pre_hook(measure) for activation in layers]
    try:
        for batch in batches:
            calls.clear()
            forward(batch)
            totals = [a + b for a, b in zip(totals, calls, strict=True)] if totals else list(calls)
            images += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not totals:
        return float("nan"), float("nan")
    dead = [~(slope / images > INACTIVE) for slope, _ in totals]
    dormant = [size <= DORMANT * size.mean() for _, size in totals]
    return torch.stack([layer.float().mean() for layer in dead]).max().item(), torch.cat(dormant).float().mean().item()


def _slope_and_size(activation, z):
    """|phi'(z)| and |phi(z)|, element by element. Modules may work in place, hence the copy; `forward` calls no hooks."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        y = activation.forward(z.clone())
        (slope,) = torch.autograd.grad(y.sum(), z)
    return slope.abs_(), y.detach().abs()
