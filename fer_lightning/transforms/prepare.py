"""From uint8 grey pictures to what a backbone expects, batched, on whatever device the batch is."""

from typing import NamedTuple

import torch
import torch.nn.functional as F


class InputSpec(NamedTuple):
    """What a backbone was built or pretrained for.

    mean and std are for pixels scaled to [0, 1], one value per channel or one for all.
    The defaults are the grey 48 x 48 picture with the mean and deviation of FER-2013's Training split (.5077, .2550).
    """

    size: int = 48
    channels: int = 1
    mean: tuple = (0.508,)
    std: tuple = (0.255,)


def prepare(pixels, spec, channels_last=False):
    """Scale, resize, normalise and expand pictures.

    pixels: (B, 1, H, W) uint8, or float in [0, 255] as augmentation leaves it. Returns (B, channels, size, size) float32.
    """
    x = pixels.float()
    if x.shape[-2:] != (spec.size, spec.size):
        x = F.interpolate(x, size=(spec.size, spec.size), mode="bicubic", antialias=True, align_corners=False).clamp_(0, 255)
    # One fused scale and shift; with channels > 1 it also expands the grey channel.
    std = x.new_tensor(spec.std).view(-1, 1, 1) * 255
    mean = x.new_tensor(spec.mean).view(-1, 1, 1) * 255
    x = ((x - mean) / std).expand(-1, spec.channels, -1, -1)
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
