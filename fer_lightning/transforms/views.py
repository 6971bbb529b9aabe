"""Test-time augmentation: several views of each image, and one prediction from all of them."""

import math
from dataclasses import dataclass

import torch

from fer_lightning.data.faces import SIZE
from fer_lightning.process.errors import ConfigError, near

# {kind: (places, mirrored)}: from how many places of an image a view is cut, and whether each view also comes mirrored.
KINDS = {"none": (1, False), "flip": (1, True), "five_crop": (5, False), "ten_crop": (5, True)}


def views(pixels, kind, size=None):
    """The views of square images: (B, 1, H, H) to (V B, 1, size, size), all first views, then all second ones.

    size: of a crop in pixels; None for H
    One place is the centre. Five are the corners, left to right and top to bottom, then the centre. Mirrored views follow (torchvision).
    """
    places, mirrored = KINDS[kind]
    size = size or pixels.shape[-1]
    far = pixels.shape[-1] - size
    if kind == "none" and not far:
        return pixels
    centre = (round(far / 2), round(far / 2))
    corners = [(top, left) for top in (0, far) for left in (0, far)] if places == 5 else []
    sides = [pixels, pixels.flip(-1)] if mirrored else [pixels]
    return torch.cat([side[..., top : top + size, left : left + size] for side in sides for top, left in [*corners, centre]])


@dataclass(frozen=True)
class Views:
    """Which views of an image a model is evaluated on, one or several, and how their predictions are averaged (S4-39).

    kind:    none | flip | five_crop | ten_crop
    size:    of a crop in pixels; None for the whole image
    average: logits | probabilities

    Raises ConfigError for a choice that does not exist, and for crops without a size.
    """

    kind: str = "none"
    size: int | None = None
    average: str = "logits"

    def __post_init__(self):
        for name, known in (("kind", KINDS), ("average", ("logits", "probabilities"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"evaluation.{name}={getattr(self, name)}: there is no such choice. {near(getattr(self, name), known)}")
        if self.size is None and KINDS[self.kind][0] > 1:
            raise ConfigError(f"evaluation.kind={self.kind} needs evaluation.size, such as 40 (pixels).")
        if self.size is not None and not 2 <= self.size <= SIZE:
            raise ConfigError(f"evaluation.size={self.size}: a size is 2 to {SIZE} pixels.")

    @property
    def single(self):
        """The Views of one view per image, which every score is computed from: the whole image or the crop from its centre."""
        return Views("none", self.size)

    @property
    def count(self):
        """How many views an image has, V."""
        places, mirrored = KINDS[self.kind]
        return places * (1 + mirrored)

    @property
    def mirrored(self):
        """Which of the views of an image are mirrored, (V,) bool."""
        places, _ = KINDS[self.kind]
        return torch.arange(self.count) >= places

    def expand(self, pixels):
        """The views of images: (B, 1, 48, 48) to (V B, 1, size, size) of the same type, all first views, then all second ones."""
        return views(pixels, self.kind, self.size)

    def merge(self, logits):
        """The average over the views: (V B, 7) to (B, 7). For averaged probabilities their logarithm, which a softmax undoes."""
        logits = logits.float().view(self.count, -1, logits.shape[-1])
        if self.average == "logits":
            return logits.mean(0)
        return logits.log_softmax(-1).logsumexp(0) - math.log(self.count)
