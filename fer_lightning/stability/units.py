"""Which hidden units of a network no longer learn, measured on a fixed set of pictures."""

import re

import torch
from torch import nn

# A channel whose slope is on average no larger hardly passes a gradient on: a ReLU that is active on 5 % of its inputs.
INACTIVE = 0.05
# A channel whose output is on average a 40th of its layer's hardly speaks (Sokar et al. 2023).
DORMANT = 0.025

# ReLU, LeakyReLU, GELUTanh, SiLU, HardSwishMe, MishActivation and the like, in torch, timm and transformers. Gates (Sigmoid, Softmax) scale
# units and are none; a GLU is a gate too.
_ACTIVATION = re.compile(r"(?<!G)LU|[Ss]wish|[Mm]ish|Softplus")


def activations(module):
    """{activation module: the dimension of the channels of a 4-D input}, for those that are modules; activations that a forward method
    calls as functions are not seen.

    The channels are dimension 1, behind an nn.Linear the last: ConvNeXt and Swin hold their maps as (B, H, W, C).
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
    """(dead, dormant) of the activation layers below `module` while `forward` runs over the batches; NaN where there is none.

    dead:    the largest share, over the layers, of channels whose slope |phi'(z)|, averaged over pictures and places, is 0.05 or less
    dormant: the share, over all layers, of channels whose |phi(z)| is on average 0.025 of their layer's mean or less

    The slope is autograd's of the module itself, so it holds for any activation. A module that is called several times a pass is a layer
    each time. A channel whose slope is not a number counts as dead.
    """
    totals, calls, pictures = [], [], 0

    def look(activation, inputs):
        z = inputs[0]
        slope, size = _slope_and_size(activation, z)
        channel = layers[activation] if z.ndim == 4 else -1
        places = [d for d in range(z.ndim) if d != channel % z.ndim]
        calls.append(len(z) * torch.stack([slope.mean(places, dtype=torch.float32), size.mean(places, dtype=torch.float32)]))

    layers = activations(module)
    hooks = [activation.register_forward_pre_hook(look) for activation in layers]
    try:
        for batch in batches:
            calls.clear()
            forward(batch)
            totals = [a + b for a, b in zip(totals, calls, strict=True)] if totals else list(calls)
            pictures += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not totals:
        return float("nan"), float("nan")
    dead = [~(slope / pictures > INACTIVE) for slope, _ in totals]
    dormant = [size <= DORMANT * size.mean() for _, size in totals]
    return torch.stack([layer.float().mean() for layer in dead]).max().item(), torch.cat(dormant).float().mean().item()


def _slope_and_size(activation, z):
    """|phi'(z)| and |phi(z)|, element by element. The copy is for modules that work in place; `forward` passes the hooks by."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        y = activation.forward(z.clone())
        (slope,) = torch.autograd.grad(y.sum(), z)
    return slope.abs_(), y.detach().abs()
