"""A picture file of a user's own, as it is or as an image like those of the data set."""

import os
import warnings
from contextlib import contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageOps

from fer_lightning.data.faces import SIZE
from fer_lightning.process.errors import UserError
from fer_lightning.safety.untrusted_files import check_file

# An image of 48 x 48 pixels needs no more. The number of pixels is known before the file is decoded.
LARGEST = 50_000_000
LARGEST_FILE = 100_000_000

# Not EPS, which Pillow passes to Ghostscript, and no format whose decoder few people review.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = (".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")

# Twelve or fourteen bits of a camera, stored in sixteen, stay below a quarter of white.
DARK = 64

# What Pillow misreads in a TIFF of 16 bits: white stored as zero, and colours stored in separate planes.
MISREAD = {ExifTags.Base.PhotometricInterpretation: 0, ExifTags.Base.PlanarConfiguration: 2}


def read_picture(path, size=SIZE):
    """The middle square of a picture file, of its first frame, as (1, size, size) uint8 grey.

    UserError for a file that is no picture, has over 50 megapixels or 100 MB, or is a pipe or device, which may never end.
    """
    with _upright(path) as image:
        return as_face(image, size)


def read_photo(path):
    """A picture file, its first frame, upright, as a Pillow image of kind L or RGB. UserError as for `read_picture`."""
    with _upright(path) as image:
        return image if image.mode in ("L", "RGB") else image.convert("RGB")


def as_face(image, size=SIZE):
    """The middle square of a Pillow image as (1, size, size) uint8 grey."""
    return np.asarray(ImageOps.fit(image.convert("L"), (size, size), Image.Resampling.BICUBIC))[None]


@contextmanager
def _upright(path):
    """A picture file, opened, upright, of 8 bits. Of 16 bits it takes the upper eight, as Pillow does if the picture has colours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that can be read all the same
            check_file(os.path.realpath(path), LARGEST_FILE)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if width * height > LARGEST:
                    raise UserError(f"{path}: {width} x {height} pixels are more than {LARGEST / 1e6:.0f} megapixels. Scale it down.")
                deep = _is_deep(image, path)
                upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            if deep:
                _check_white(upright, path)
            yield upright
    except UserError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders raise
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{path}: cannot be read as a picture ({reason}).") from error


def _is_deep(image, path):
    """Whether a picture has 16 bits. UserError if nothing says which of its numbers is white."""
    tags = getattr(image, "tag_v2", {})
    # 16 bits in the file, whatever Pillow makes of them.
    deep = image.mode.startswith("I") or ";16" in str(image.tile[:1]) or max(tags.get(ExifTags.Base.BitsPerSample, (8,))) > 8
    # Pillow scales a PGM to 16 bits, but no other picture of 32.
    scaled = image.mode != "F" and (image.mode != "I" or image.format == "PPM")
    if not scaled or (deep and any(tags.get(tag) == value for tag, value in MISREAD.items())):
        raise UserError(f"{path}: how bright its numbers are is not certain (kind {image.mode}). Save it as grey or RGB of 8 or 16 bits.")
    return deep


def _check_white(image, path):
    brightest = image.convert("L").getextrema()[1]
    if brightest < DARK:
        share = f"{brightest / 255:.0%}"
        raise UserError(f"{path}: its brightest grey is {share} of white, as if it had fewer than 16 bits. Scale it: white is 65535.")
