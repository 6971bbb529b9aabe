"""Augmentation of whole batches on the device they are on; each image has random parameters of its own.

Random numbers come from the default generator, which `FERModule` seeds per batch: a resumed run draws what it would have drawn.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F

from fer_lightning.config.arguments import Augment as Ranges
from fer_lightning.config.ranges import check_values
from fer_lightning.data.faces import CLASSES, SIZE
from fer_lightning.process.errors import ConfigError, near
from fer_lightning.transforms import geometry
from fer_lightning.transforms.views import views


class Augmented(NamedTuple):
    """pixels:  (B', 1, H', W'), where B' is B, or 5 B or 10 B with five or ten crops
    targets: (B',) class ids or (B', C) probabilities
    """

    pixels: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True, eq=False)
class Augment:
    """(pixels (B, 1, H, W) uint8 or float in 0..255, labels (B,) or (B, C)) -> `Augmented`. For each image, in this order:

    resized_crop  probability of a rectangle of resized_crop_area (a share) and _ratio (width / height), resized to resized_crop_size
                  (null: the size of the image). _inside: it is drawn up to ten times until it fits; if it never does, the image
                  stays as it is (torchvision). Otherwise it may reach beyond the image, which then shrinks
    flip          probability of a mirror image, left to right
    rotation      largest angle in degrees, either way
    shift         largest shift up or down and sideways, in whole pixels; shift_fraction: in fractions of the image
    shear         largest angle in degrees by which columns slide up or down
    zoom          width and height are each scaled by a factor of their own in 1 +- zoom
    brightness, contrast   a factor in 1 +- this, on the grey levels and on their distance from the image's mean
    crops         with a crop_size: random | five_crop | ten_crop; the last two make five or ten images of one (S4-8): all first
                  crops, then all second ones, the labels likewise
    erase         probability of a rectangle of erase_area and erase_ratio with the grey level erase_value, for each crop (S4-9)
    mixup         a mean of the image and another one, with a weight from Beta(mixup, mixup); targets are then probabilities

    X_p: probability of X for an image. fill: what lies outside the image: reflection | nearest | zeros. classes: C, set by the data.
    Flip, crops, erasing and, with reflection, shift keep uint8; the rest gives float32. Raises ConfigError for impossible values.
    """

    flip: float = 0.0
    shift: int = 0
    shift_fraction: float = 0.0
    shift_p: float = 1.0
    rotation: float = 0.0
    rotation_p: float = 1.0
    zoom: float = 0.0
    zoom_p: float = 1.0
    shear: float = 0.0
    shear_p: float = 1.0
    fill: str = "reflection"
    resized_crop: float = 0.0
    resized_crop_area: tuple = (0.7, 1.0)
    resized_crop_ratio: tuple = (3 / 4, 4 / 3)
    resized_crop_size: int | None = None
    resized_crop_inside: bool = True
    brightness: float = 0.0
    brightness_p: float = 1.0
    contrast: float = 0.0
    contrast_p: float = 1.0
    crops: str = "random"
    crop_size: int | None = None
    erase: float = 0.0
    erase_area: tuple = (0.02, 0.33)
    erase_ratio: tuple = (0.3, 3.3)
    erase_value: int = 0
    mixup: float = 0.0
    classes: int = len(CLASSES)

    def __post_init__(self):
        check_values("augment", vars(self), Ranges)
        for name, known in (("fill", geometry.FILLS), ("crops", ("random", "five_crop", "ten_crop"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"augment.{name}={getattr(self, name)}: there is no such choice. {near(getattr(self, name), known)}")
        if self.crop_size is None and self.crops != "random":
            raise ConfigError(f"augment.crops={self.crops} needs augment.crop_size, such as 40 (pixels).")
        largest = self.resized_crop_size or SIZE
        if self.crop_size is not None and self.crop_size > largest:
            raise ConfigError(f"augment.crop_size={self.crop_size}: a size is 2 to {largest} pixels.")

    def __call__(self, pixels, labels):
        pixels = self._erase(self._crop(self._light(self._move(pixels))))
        return Augmented(*self._mix(pixels, torch.cat([labels] * (len(pixels) // len(labels)))))

    @cached_property
    def only_flips(self):
        """Whether the images are mirrored or not, and otherwise stay as they are."""
        return asdict(self) == asdict(Augment(flip=self.flip, classes=self.classes))

    def draw_flips(self, pixels):
        """Which images (B,) bool a call mirrors that draws the same random numbers."""
        return self._draw_shift_and_flip(pixels)[1]

    def _draw_shift_and_flip(self, pixels):
        """((up, left) (2, B) in whole pixels, mirrored (B,) bool)"""
        shift = torch.randint(-self.shift, self.shift + 1, (2, len(pixels)), device=pixels.device)
        return shift, torch.rand(len(pixels), device=pixels.device) < self.flip

    @property
    def _warps(self):
        """Whether pixels come from between pixels or from a border that is not reflected, so that a gather is not enough."""
        between = self.rotation or self.zoom or self.shear or self.shift_fraction or self.resized_crop or self.resized_crop_size
        return bool(between or (self.shift and self.fill != "reflection"))

    def _move(self, pixels):
        """Flip, shift, rotate, shear, zoom and crop."""
        if not (self.flip or self.shift or self._warps):
            return pixels
        height, width = pixels.shape[-2:]
        (up, left), mirrored = self._draw_shift_and_flip(pixels)
        shifted = _chosen(pixels, self.shift_p)
        up, left = up * shifted, left * shifted
        if not self._warps:
            return geometry.flip_and_shift(pixels, mirrored, left, up)

        frame = (self.resized_crop_size, self.resized_crop_size) if self.resized_crop_size else (height, width)
        more_up, more_left = _draw(pixels, self.shift_fraction, 2) * shifted
        up, left = up + more_up * frame[0], left + more_left * frame[1]
        (angle,) = _draw(pixels, self.rotation) * _chosen(pixels, self.rotation_p)
        (shear,) = _draw(pixels, self.shear) * _chosen(pixels, self.shear_p)
        zoom_x, zoom_y = 1 + _draw(pixels, self.zoom, 2) * _chosen(pixels, self.zoom_p)
        movement = geometry.affine(mirrored, angle=angle, left=left, up=up, shear=shear, zoom_x=zoom_x, zoom_y=zoom_y)
        *box, fits = _draw_boxes(pixels, self.resized_crop_area, self.resized_crop_ratio, self.resized_crop_inside)
        cropped = fits & _chosen(pixels, self.resized_crop)
        box = [torch.where(cropped, side, uncropped) for side, uncropped in zip(box, (0, 0, height, width), strict=True)]
        movement = geometry.from_box(movement, box, (height, width), frame)
        return geometry.warp(pixels, movement, frame, self.fill)

    def _light(self, pixels):
        if not (self.brightness or self.contrast):
            return pixels
        brightness = 1 + (_draw(pixels, self.brightness) * _chosen(pixels, self.brightness_p)).view(-1, 1, 1, 1)
        contrast = 1 + (_draw(pixels, self.contrast) * _chosen(pixels, self.contrast_p)).view(-1, 1, 1, 1)
        pixels = (pixels.float() * brightness).clamp_(0, 255)
        return torch.lerp(pixels.mean((1, 2, 3), keepdim=True), pixels, contrast).clamp_(0, 255)

    def _crop(self, pixels):
        if self.crop_size is None:
            return pixels
        if self.crops != "random":
            return views(pixels, self.crops, self.crop_size)
        top, left = (torch.randint(side - self.crop_size + 1, (len(pixels),), device=pixels.device) for side in pixels.shape[-2:])
        return geometry.crop(pixels, top, left, self.crop_size)

    def _erase(self, pixels):
        if not self.erase:
            return pixels
        top, left, height, width, fits = _draw_boxes(pixels, self.erase_area, self.erase_ratio, inside=True)
        height = height * (fits & _chosen(pixels, self.erase))
        return geometry.erase(pixels, (top, left, height, width), self.erase_value)

    def _mix(self, pixels, labels):
        if not self.mixup:
            return pixels, labels
        partner = torch.randperm(len(pixels), device=pixels.device)
        concentration = torch.full((len(pixels), 1), self.mixup, dtype=torch.float32, device=pixels.device)
        share = torch.distributions.Beta(concentration, concentration, validate_args=False).sample()
        pixels, targets = pixels.float(), (F.one_hot(labels, self.classes) if labels.ndim == 1 else labels).float()
        return torch.lerp(pixels[partner], pixels, share[..., None, None]), torch.lerp(targets[partner], targets, share)


def _draw(pixels, largest, count=1):
    """Uniform random numbers in +-largest, (count, B)."""
    return (2 * torch.rand(count, len(pixels), device=pixels.device) - 1) * largest


def _chosen(pixels, p):
    """(B,) bool, true with probability p; True, without a random number, if p is 1."""
    return True if p == 1 else torch.rand(len(pixels), device=pixels.device) < p


def _draw_boxes(pixels, area, ratio, inside):
    """A random rectangle per image: its top, left, height, width, and whether it may be used, (B,) each.

    area:   range of its share of the image
    ratio:  range of width / height, uniform in the logarithm
    inside: it must fit: the first of ten that does (torchvision); otherwise it may be larger than the image
    """
    shape, device = (10 if inside else 1, len(pixels)), pixels.device
    area = (area[0] + (area[1] - area[0]) * torch.rand(shape, device=device)) * pixels[0].numel()
    ratio = ratio[0] * (ratio[1] / ratio[0]) ** torch.rand(shape, device=device)
    height, width = (area / ratio).sqrt(), (area * ratio).sqrt()
    usable = (height <= pixels.shape[-2]) & (width <= pixels.shape[-1]) | (not inside)
    first = usable.int().argmax(0, keepdim=True)
    height, width, usable = (table.gather(0, first)[0] for table in (height, width, usable))
    top, left = torch.rand(2, len(pixels), device=device)
    return top * (pixels.shape[-2] - height), left * (pixels.shape[-1] - width), height, width, usable
