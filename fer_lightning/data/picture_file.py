"""A picture file of a user's own, as an image like those of FER-2013."""

import os
import warnings

import numpy as np
from PIL import Image, ImageOps

from fer_lightning.data.faces import SIZE
from fer_lightning.process.errors import UserError
from fer_lightning.safety.untrusted_files import check_file

# An image of 48 x 48 pixels needs no more. The number of pixels is known before the file is decoded.
LARGEST = 50_000_000
LARGEST_FILE = 100_000_000

# Not EPS, which Pillow passes to Ghostscript, and no format whose decoder few people review.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def read_picture(path):
    """The middle square of a picture file, of its first frame, as (1, 48, 48) uint8 grey.

    UserError for a file that is no picture, has over 50 megapixels or 100 MB, or is a pipe or device, which may never end.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that can be read all the same
            check_file(os.path.realpath(path), LARGEST_FILE)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if width * height > LARGEST:
                    raise UserError(f"{path}: {width} x {height} pixels are more than {LARGEST / 1e6:.0f} megapixels. Scale it down.")
                upright = ImageOps.exif_transpose(image).convert("L")
        return np.asarray(ImageOps.fit(upright, (SIZE, SIZE), Image.Resampling.BICUBIC))[None]
    except UserError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise UserError(f"{path}: cannot be read as a picture ({error or type(error).__name__}).") from error
