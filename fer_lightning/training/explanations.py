"""Where a network looks: Grad-CAM for those that end in a map, attention rollout for those that are attention throughout."""

from contextlib import contextmanager
from math import isqrt

import torch
import torch.nn.functional as F
from torch import nn

from fer_lightning.training.inference import saliency, scaled

POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d)


def explanations(module, pixels):
    """{method: function of images (N, 1, S, S) uint8 and classes (N,), which returns maps (N, S, S) in [0, 1]} for a network.

    pixels: an image or more to see what the network is made of. All maps are of the view that predictions.parquet is of. Saliency is of
    the winning class and rollout of none, so both ignore `classes`.
    """
    _without_fused_attention(module.backbone)
    last, attentions, _ = _look(module, pixels)
    found = {"saliency": lambda pixels, classes: saliency(module, pixels)[0]}
    if last is not None:
        found["Grad-CAM"] = lambda pixels, classes: grad_cam(module, pixels, classes, last)
    if attentions:
        found["attention rollout"] = lambda pixels, classes: rollout(module, pixels)
    return found


def grad_cam(module, pixels, classes, layer):
    """Grad-CAM (Selvaraju et al. 2017) of images (N, 1, S, S) uint8 for `classes` (N,), by a layer's output: (N, S, S) in [0, 1]."""
    from captum.attr import LayerGradCam

    maps = LayerGradCam(module.logits, layer).attribute(pixels.float(), target=classes, relu_attributions=True)
    return _on_the_image(module, maps.detach(), pixels.shape[-1])


def rollout(module, pixels):
    """Attention rollout (Abnar and Zuidema 2020) of images (N, 1, S, S) uint8: (N, S, S) in [0, 1].

    Each layer passes half of a token on and mixes half by its attention, averaged over heads. Where the last layer's tokens come from is
    averaged over those the answer is read from, by the gradient of the largest logit: the class token alone, or all that are pooled.
    """
    _without_fused_attention(module.backbone)
    pixels = pixels.float().requires_grad_()
    _, attentions, (tokens, logits) = _look(module, pixels)
    (gradient,) = torch.autograd.grad(logits.max(1).values.sum(), tokens)
    weights = gradient.norm(dim=2)[:, None]  # (N, 1, tokens)
    for attention in reversed(attentions):
        weights = (weights + weights @ attention.mean(1)) / 2
    side = isqrt(weights.shape[-1])  # class tokens and registers come first
    return _on_the_image(module, weights[..., -(side**2) :].unflatten(2, (side, side)), pixels.shape[-1])


def _look(module, pixels):
    """(layer of the last map or None, attentions [(N, heads, L, L)], (tokens (N, L, width) of the last layer, logits)) of a forward pass.

    The last map is a convolutional one, not yet pooled, if no token comes after it. Attention is found by its rows, which sum to one.
    """
    last, tokens, attentions, pooled = None, None, [], set()

    def see(layer, _, output):
        nonlocal last, tokens
        for tensor in filter(torch.is_tensor, output if isinstance(output, tuple | list) else (output,)):
            if isinstance(layer, POOLS):
                pooled.add(id(tensor))
            if _is_attention(tensor):
                if all(tensor is not known for known in attentions):
                    attentions.append(tensor)
            elif tensor.ndim == 4 and 1 < tensor.shape[2] == tensor.shape[3]:
                if id(tensor) not in pooled:
                    last = layer
            elif tensor.ndim > 2 and min(tensor.shape[1:]) > 1:
                last, tokens = None, tensor
        kept.append(output)  # so that no id is used twice

    kept = []
    with _hooks(module.backbone, see):
        logits = module.eval().logits(pixels)
    # Attention within windows, or of maps that shrink, cannot be multiplied through.
    whole = tokens is not None and {attention.shape[::3] for attention in attentions} == {tokens.shape[:2]}
    return last, [attention.detach() for attention in attentions] if whole else [], (tokens, logits)


def _is_attention(tensor):
    if tensor.ndim != 4 or tensor.shape[2] != tensor.shape[3]:
        return False
    return bool(tensor.min() >= 0) and torch.allclose(tensor.sum(-1), tensor.new_ones(()), atol=1e-3)


def _without_fused_attention(backbone):
    """Let timm and transformers compute attention so that it can be seen: the fused kernels never hold it as a whole."""
    for layer in backbone.modules():
        if hasattr(layer, "fused_attn"):
            layer.fused_attn = False
        if hasattr(layer, "set_attn_implementation"):
            layer.set_attn_implementation("eager")


@contextmanager
def _hooks(network, see):
    handles = [layer.register_forward_hook(see) for layer in network.modules() if layer is not network]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_the_image(module, maps, size):
    """Coarse maps (N, 1, h, w) of the view that a network saw, on the pixels that it saw: (N, size, size), scaled, 0 beside the view."""
    places = module.views.expand(torch.arange(size * size).view(1, 1, size, size))
    fine = scaled(F.interpolate(maps.float(), places.shape[2:], mode="bilinear", align_corners=False)[:, 0])
    whole = fine.new_zeros(len(maps), size * size)
    whole[:, places.flatten()] = fine.flatten(1)
    return whole.view(-1, size, size)
