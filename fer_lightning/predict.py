"""A trained run on pictures: what it sees in each, and how sure it is.

    python -m fer_lightning.predict RUN face.jpg more/*.png [--csv FILE]

Give it faces cut out as in FER-2013, square and tight; no face is searched for. A picture that is not square is cut to its middle.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from rich.table import Table

from fer_lightning.data.faces import CLASSES, SIZE
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, replace_file
from fer_lightning.process.terminal import console
from fer_lightning.safety.spreadsheet import to_csv
from fer_lightning.safety.untrusted_files import check_file

# A 48 x 48 answer needs no more; what a file unpacks to is known before it is unpacked.
LARGEST = 50_000_000
LARGEST_FILE = 100_000_000

# Not EPS, which Pillow hands to Ghostscript, and no format whose decoder hardly anyone looks at.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def read_picture(path):
    """The middle square of a picture file, of its first frame, as (1, 48, 48) uint8 grey.

    UserError where it is no picture, one of over 50 megapixels or 100 MB, or a pipe or device, which may never end.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what can be read all the same
            check_file(os.path.realpath(path), LARGEST_FILE)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if width * height > LARGEST:
                    raise UserError(f"{path}: {width} x {height} pixels are more than {LARGEST / 1e6:.0f} megapixels. Scale it down.")
                upright = ImageOps.exif_transpose(image).convert("L")
        return np.asarray(ImageOps.fit(upright, (SIZE, SIZE), Image.Resampling.BICUBIC))[None]
    except UserError:
        raise
    except Exception as error:  # Pillow passes on whatever its decoders meet
        raise UserError(f"{path}: cannot be read as a picture ({error or type(error).__name__}).") from error


def predict(folder, pixels):
    """Class probabilities (N, 7) that a finished run gives pictures (N, 1, 48, 48) uint8, from the views its evaluation asks for."""
    import torch
    from hydra.utils import instantiate

    from fer_lightning.training.restore import restore_module
    from fer_lightning.transforms.prepare import prepare

    cfg, module = restore_module(folder)
    views = instantiate(cfg.evaluation)
    with torch.inference_mode():
        batches = torch.from_numpy(pixels).split(max(1, cfg.eval_batch_size // views.count))
        prepared = (prepare(views.expand(batch), module.backbone.input_spec, cfg.channels_last) for batch in batches)
        return torch.cat([views.merge(module(batch)).float().softmax(1) for batch in prepared]).numpy()


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.predict", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("pictures", type=Path, nargs="+", help="files that hold a face each")
    parser.add_argument("--csv", type=Path, help="write picture, prediction and all seven probabilities here")
    arguments = parser.parse_args()
    try:
        if arguments.csv:
            check_writable(arguments.csv)
        table = _table(arguments.pictures, predict(arguments.run, np.stack([read_picture(path) for path in arguments.pictures])))
    except UserError as error:
        sys.exit(str(error))
    if arguments.csv:
        replace_file(arguments.csv, to_csv(table))
    shown = Table("picture", "prediction", "probability", "second", "probability")
    for row in table.itertuples(index=False):
        first, second = sorted(CLASSES, key=lambda name: -getattr(row, name))[:2]
        shown.add_row(row.picture, first, f"{getattr(row, first):.3f}", second, f"{getattr(row, second):.3f}")
    console().print(shown)


def _table(paths, probabilities):
    table = pd.DataFrame(probabilities, columns=list(CLASSES))
    table.insert(0, "picture", [str(path) for path in paths])
    table.insert(1, "prediction", [CLASSES[c] for c in probabilities.argmax(1)])
    return table


if __name__ == "__main__":
    main()
