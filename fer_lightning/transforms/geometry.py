"""Geometry of augmentation: moves, crops and erases whole batches, each image with its own parameters. Nothing is random here.

Coordinates are in pixels from the centre of the image, x to the right and y down. A parameter is (B,), one value per image.
"""

import torch
import torch.nn.functional as F

# What lies outside the image: the border pixel again (as Keras), the image mirrored without its border pixel, black.
FILLS = {"nearest": "border", "reflection": "reflection", "zeros": "zeros"}


def mirror(pixels, mirrored):
    """Mirror the images that `mirrored` (B,) names. Same shape and type."""
    return torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(-1), pixels)


def flip_and_shift(pixels, mirrored, left, up):
    """Mirror the images that `mirrored` (B,) names, then shift by whole pixels, filled by reflection. (B, 1, H, W); the type stays.

    Both only choose rows and columns, so one gather does both.
    """
    height, width = pixels.shape[-2:]
    rows = _reflect(torch.arange(height, device=pixels.device) + up[:, None], height)
    columns = _reflect(torch.arange(width, device=pixels.device) + left[:, None], width)
    return _take(pixels, rows, torch.where(mirrored[:, None], width - 1 - columns, columns))


def crop(pixels, top, left, size):
    """A square of whole pixels from each image: (B, 1, size, size) of the same type."""
    inside = torch.arange(size, device=pixels.device)
    return _take(pixels, inside + top[:, None], inside + left[:, None])


def erase(pixels, box, value):
    """Set to `value` every pixel whose centre lies in the rectangle of its image. Same shape and type.

    box: (top, left, height, width), (B,) each
    """
    top, left, height, width = box
    rows = torch.arange(pixels.shape[-2], device=pixels.device) + 0.5
    columns = torch.arange(pixels.shape[-1], device=pixels.device) + 0.5
    within_rows = (rows >= top[:, None]) & (rows < (top + height)[:, None])
    within_columns = (columns >= left[:, None]) & (columns < (left + width)[:, None])
    return pixels.masked_fill((within_rows[:, :, None] & within_columns[:, None, :])[:, None], value)


def affine(mirrored, *, angle, left, up, shear, zoom_x, zoom_y):
    """The source of each output pixel, as (matrix (B, 2, 2), offset (B, 2)): source = matrix @ output + offset.

    The image is, in this order, mirrored, rotated counter-clockwise, moved left and up, sheared (columns slide up or down; Keras also
    narrows by the cosine, 0.5 % at 0.1 rad) and zoomed, the order of Keras. angle, shear: degrees. zoom below 1 enlarges, as in Keras.
    """
    angle, slope = angle.deg2rad(), shear.deg2rad().tan()
    mirror = torch.where(mirrored, -1.0, 1.0)
    turn = _matrix(mirror * angle.cos(), -mirror * angle.sin(), angle.sin(), angle.cos())
    stretch = _matrix(zoom_x, torch.zeros_like(zoom_x), slope * zoom_x, zoom_y)
    return turn @ stretch, (turn @ torch.stack([left, up], 1)[..., None])[..., 0]


def from_box(movement, box, image, frame):
    """The movement (matrix, offset) of `affine`, applied to a rectangle of the image that is resized to the frame.

    box:          (top, left, height, width) of the rectangle, which may reach beyond the image
    image, frame: (height, width) of the image and of the output
    """
    (matrix, offset), (top, left, height, width) = movement, box
    scale = torch.stack([width / frame[1], height / frame[0]], 1)
    centre = torch.stack([left + (width - image[1]) / 2, top + (height - image[0]) / 2], 1)
    return scale[..., None] * matrix, scale * offset + centre


def warp(pixels, movement, frame, fill):
    """Sample each image bilinearly at the source of each output pixel. Returns (B, 1, *frame) float32.

    movement: (matrix, offset) of `affine` or `from_box`; fill: a key of FILLS
    """
    matrix, offset = movement
    # Sums of a column's and a row's share: 0.1 ms for 128 images. F.affine_grid takes 1.9 ms, longer than the sampling.
    half = matrix.new_tensor([[pixels.shape[-1] - 1], [pixels.shape[-2] - 1]]) / 2
    across, down = (torch.arange(side, device=pixels.device) - (side - 1) / 2 for side in (frame[1], frame[0]))
    across = matrix[:, :, :1] * across / half
    down = (matrix[:, :, 1:] * down + offset[..., None]) / half
    grid = (across[:, :, None, :] + down[:, :, :, None]).permute(0, 2, 3, 1)
    # With align_corners, reflection leaves out the border pixel, as F.pad's reflect and `flip_and_shift` do.
    return F.grid_sample(pixels.float(), grid, mode="bilinear", padding_mode=FILLS[fill], align_corners=True)


def _matrix(a, b, c, d):
    return torch.stack([torch.stack([a, b], 1), torch.stack([c, d], 1)], 1)


def _take(pixels, rows, columns):
    """The pixels (B, 1, h, w) at rows (B, h) and columns (B, w)."""
    # gather on flat images: 0.35 ms for 128 of them. Indexing with three tensors takes 1.2 ms.
    index = rows[:, :, None] * pixels.shape[-1] + columns[:, None, :]
    return pixels.flatten(1).gather(1, index.flatten(1)).view(len(pixels), 1, *index.shape[1:])


def _reflect(index, length):
    """Fold an index that runs over either end back inside, without repeating the border (as F.pad's reflect)."""
    return (length - 1) - ((length - 1) - index.abs()).abs()
