"""FER-2013 as folders of images, train/<class>/*.jpg and so on, in the editions in circulation.

Also what every reader of encoded images needs: classes and splits by name, and the pixels of one image.
"""

import re

import numpy as np

from fer_lightning.data.faces import CLASSES, SIZE, SPLITS
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.process.errors import DataError, near

CLASS_NAMES = {name: c for c, name in enumerate(CLASSES)}
CLASS_NAMES |= {"anger": 0, "disgusted": 1, "fearful": 2, "happiness": 3, "sadness": 4, "surprised": 5}

SPLIT_NAMES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "publictest": 1, "test": 2, "privatetest": 2}

SUFFIXES = (".jpg", ".jpeg", ".png")
PREFIX = re.compile(f"({'|'.join(SPLITS)})_")
BATCH = 256

# 48 x 48 pixels take 7 KB without any compression.
LARGEST_FILE = 1_000_000


def class_index(name, where):
    """Index into CLASSES by name, never by rank: sorted by name, sad, surprise and neutral swap places."""
    if name.lower() not in CLASS_NAMES:
        raise DataError(f"{where}: there is no class {name!r}. {near(name.lower(), CLASSES)}")
    return CLASS_NAMES[name.lower()]


def decode(stream, where):
    """The grey pixels (48, 48) of a PNG or JPEG. Its size is checked in the header, before anything is decoded."""
    from PIL import Image

    try:
        with Image.open(stream, formats=("PNG", "JPEG")) as image:
            if image.size != (SIZE, SIZE):
                raise DataError(f"{where}: the image is {image.width} x {image.height}; FER-2013 is {SIZE} x {SIZE}.")
            deep = ";16" in str(image.tile[:1])  # of colours of 16 bits Pillow keeps eight
            if image.mode not in ("L", "P", "RGB") or deep:
                raise DataError(f"{where}: the image is of kind {image.mode}{' with 16 bits' * deep}; FER-2013 is grey with 8 bits.")
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except DataError:
        raise
    except Exception as error:  # Pillow raises whatever its decoders do: OSError, SyntaxError, ValueError, struct.error, ...
        raise DataError(f"{where}: the image is damaged ({error}). Download it again.") from error
    if pixels.ndim == 2:
        return pixels
    if np.any(pixels != pixels[..., :1]):
        raise DataError(f"{where}: the image has colours; FER-2013 is grey.")
    return pixels[..., 0]


def split_folders(root):
    """The folders of `root` that are named after a split: train, validation, PrivateTest, ..."""
    return [folder for folder in sorted(root.iterdir()) if folder.name.lower() in SPLIT_NAMES and folder.is_dir()]


def list_images(root):
    """The image files of every class of every split, by split, number and class. Hidden files and thumbnails are left out."""
    keyed = []
    for folder in split_folders(root):
        split = SPLIT_NAMES[folder.name.lower()]
        for sub in folder.iterdir():
            if sub.is_dir() and not sub.name.startswith("."):
                label = class_index(sub.name, sub)
                names = (n for n in sub.iterdir() if not n.name.startswith(".") and n.name.lower() not in ("thumbs.db", "desktop.ini"))
                keyed += [(split, _number(name), label, name) for name in names]
    files = [key[-1] for key in sorted(keyed)]
    if not files:
        raise DataError(f"{root}: the folders hold no images.")
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise DataError(f"{file}: not a jpg or png. Convert it, or remove it.")
        if (size := file.stat().st_size) > LARGEST_FILE:
            raise DataError(f"{file}: {size:,} bytes are no image of {SIZE} x {SIZE}. Download it again, or remove it.")
    return files


def read_folders(files):
    """The images that `list_images` found, as (pixels (n, 1, 48, 48) uint8, labels (n,), usage (n,), lossy)."""
    usage = _usage(files)
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        yield (
            np.stack([decode(file, file)[None] for file in batch]),
            np.array([class_index(file.parent.name, file) for file in batch]),
            usage[start : start + BATCH],
            any(file.suffix.lower() != ".png" for file in batch),
        )


def _usage(files):
    """The official split by the prefix of the file name, else by the folder, else by the position."""
    prefixes = [PREFIX.match(file.name) for file in files]
    if any(prefixes):
        if not all(prefixes):
            raise DataError(f"{files[prefixes.index(None)]}: the name lacks the prefix {'_, '.join(SPLITS)}_ that others have.")
        return np.array([SPLITS.index(prefix[1]) for prefix in prefixes])
    usage = np.array([SPLIT_NAMES[file.parent.parent.name.lower()] for file in files])
    return _usage_by_position(files, usage) if 2 in usage and 1 not in usage else usage


def _usage_by_position(files, usage):
    """im0.png, im1.png, ... keep the order of the CSV inside each class: in test/, PublicTest comes first."""
    public, private = (OFFICIAL_COUNTS[split] for split in SPLITS[1:])
    test = np.flatnonzero(usage == 2)
    labels = np.array([class_index(files[i].parent.name, files[i]) for i in test])
    for c, name in enumerate(CLASSES):
        members = test[labels == c]
        numbers = [_number(files[i]) for i in members]
        if numbers != list(range(public[name] + private[name])) or any(files[i].suffix.lower() != ".png" for i in members):
            raise DataError(
                f"{files[-1].parents[2]}: which images of test/ are PublicTest and which are PrivateTest is unknown: no file name "
                f"says so, and test/{name}/ is not im0.png to im{public[name] + private[name] - 1}.png. Put PublicTest into a folder val/."
            )
        usage[members[: public[name]]] = 1
    return usage


def _number(file):
    digits = re.findall(r"\d+", file.stem)
    return int(digits[-1]) if digits else -1
