"""From grey images to the input that a backbone expects: a whole batch at once, on the device it is on."""

from typing import NamedTuple

import torch
import torch.nn.functional as F


class InputSpec(NamedTuple):
    """The input that a backbone was built or pretrained for.

    size: in pixels; mean, std: of pixels scaled to [0, 1], one value per channel or one for all
    The defaults are a grey 48 x 48 image, mean and standard deviation those of FER-2013's Training split (.5077, .2550).
    """

    size: int = 48
    channels: int = 1
    mean: tuple = (0.508,)
    std: tuple = (0.255,)


def prepare(pixels, spec, channels_last=False):
    """Resize images, normalise them and repeat the grey channel.

    pixels: (B, 1, H, W) uint8, or float in [0, 255] as augmentation leaves it. Returns (B, channels, size, size) float32.
    """
    x = pixels.float()
    if x.shape[-2:] != (spec.size, spec.size):
        x = F.interpolate(x, size=(spec.size, spec.size), mode="bicubic", antialias=True, align_corners=False).clamp_(0, 255)
    # One scale and shift for both normalisations; with several means it also expands the grey channel.
    std = x.new_tensor(spec.std).view(-1, 1, 1) * 255
    mean = x.new_tensor(spec.mean).view(-1, 1, 1) * 255
    x = ((x - mean) / std).expand(-1, spec.channels, -1, -1)
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
