"""Which files below a folder are images of which class and part, in the layouts that `data.layout` names.

A layout is a function of the folder that returns {class: [Image]}, with an empty list for a class without images.
"""

import csv
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_lightning.data.ferplus import OPTIONS
from fer_lightning.data.picture_file import SUFFIXES
from fer_lightning.process.errors import DataError
from fer_lightning.safety.untrusted_files import check_file, read_text

PARTS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)

PART_NAMES = {
    **dict.fromkeys(("train", "training", "train_set"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "val_set", "valid_set"), VAL),
    **dict.fromkeys(("test", "testing", "test_set"), TEST),
}

LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini")

RAFDB = dict(zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), strict=True))
AFFECTNET = dict(zip("01234567", ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"), strict=True))
# By the columns of the votes; unknown and not a face are no classes.
FERPLUS = dict(zip(OPTIONS, ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")))

# A table of 100,000 images has 6 MB.
LARGEST_TABLE = 64_000_000


class Image(NamedTuple):
    """part: index into PARTS"""

    path: Path
    part: int


def folders(root, names=None):
    """ROOT/CLASS/*.jpg, or ROOT/train/CLASS/*.jpg with val and test beside train. names: {folder: class}; None: as the folders are named"""
    below = _subfolders(root, root)
    parts = {folder: PART_NAMES.get(folder.name.lower()) for folder in below}
    named = [folder.name for folder, part in parts.items() if part is not None]
    others = [folder.name for folder, part in parts.items() if part is None]
    if named and others:
        raise DataError(f"{root} holds parts ({', '.join(named)}) and other folders ({', '.join(others[:3])}): leave one kind there.")
    found = {}
    for folder, part in parts.items() if named else [(root, TRAIN)]:
        for sub in _subfolders(folder, root):
            if names is not None and sub.name not in names:
                raise DataError(f"{sub}: the folders of this layout are {', '.join(names)}. Remove it, or set data.layout=folders.")
            found.setdefault(sub.name if names is None else names[sub.name], []).extend(Image(file, part) for file in _files(sub, root))
    return found


def rafdb(root):
    """RAF-DB, the seven basic classes: its own EmoLabel/ and Image/aligned/, or folders 1 to 7 below train/ and test/."""
    base = _first(root, ("basic", "DATASET"))
    table = base / "EmoLabel" / "list_patition_label.txt"  # its authors' spelling
    if not table.is_file():
        return folders(base, RAFDB)
    found = {name: [] for name in RAFDB.values()}
    for number, line in enumerate(_lines(table), 1):
        name, _, label = line.strip().partition(" ")
        part = next((part for part in (TRAIN, TEST) if name.startswith(PARTS[part])), None)
        if part is None or label not in RAFDB:
            raise DataError(f"{table}, line {number}: it must be like `train_00001.jpg 5`, with a class of 1 to 7; found: {line[:40]!r}.")
        found[RAFDB[label]].append(Image(_listed(base / "Image" / "aligned" / f"{Path(name).stem}_aligned.jpg", table, root), part))
    return found


def affectnet(root):
    """AffectNet, eight classes: its train_set/ and val_set/, each with images/ and annotations/, or folders 0 to 7 below train/ and val/.

    Its test part is not published: papers report on val, which is the test part here if there is no other.
    """
    own = {folder: PART_NAMES.get(folder.name.lower()) for folder in _subfolders(root, root) if (folder / "annotations").is_dir()}
    found = {name: [] for name in AFFECTNET.values()} if own else folders(root, AFFECTNET)
    for folder, part in own.items():
        images = {path.stem: path for path in _files(folder / "images", root)}
        for file in sorted((folder / "annotations").glob("*_exp.npy")):
            label = _annotation(file)
            number = file.name.removesuffix("_exp.npy")
            if label not in AFFECTNET:  # none, uncertain, no face
                continue
            if number not in images:
                raise DataError(f"{file}: there is no image {number} in {folder / 'images'}. Get the data again.")
            found[AFFECTNET[label]].append(Image(images[number], part))
    if any(image.part == TEST for images in found.values() for image in images):
        return found
    return {name: [image._replace(part=TEST if image.part == VAL else image.part) for image in images] for name, images in found.items()}


def ferplus(root):
    """FER+ as its script writes it: FER2013Train/, FER2013Valid/ and FER2013Test/ with images, and label.csv in each or fer2013new.csv.

    A class is the option with most votes; images without one, or of which unknown or no face has most, are left out.
    """
    base = _first(root, ("images", "data"))
    votes = next((path for path in (root / "fer2013new.csv", base / "fer2013new.csv") if path.is_file()), None)
    common = None if votes is None else _majorities(votes)
    found = {name: [] for name in FERPLUS.values()}
    for part, name in enumerate(("FER2013Train", "FER2013Valid", "FER2013Test")):
        folder = base / name
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder, which data.layout=ferplus expects. Name the folder that holds it.")
        table = folder / "label.csv"
        majorities = common if common is not None else _majorities(table)
        for file in (file for file in _files(folder, root, besides=("label.csv",)) if file.name in majorities):
            found[majorities[file.name]].append(Image(file, part))
    return found


LAYOUTS = {"folders": folders, "rafdb": rafdb, "affectnet": affectnet, "ferplus": ferplus}


def _first(root, names):
    """The first of these folders below the root that exists, else the root."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def _subfolders(folder, root):
    return [Path(entry.path) for entry in _entries(folder, root) if entry.is_dir()]


def _files(folder, root, besides=()):
    """The images in a folder. DataError for what is none."""
    entries = [entry for entry in _entries(folder, root) if entry.name.lower() not in (*LEFT_BY_SYSTEMS, *besides)]
    for entry in entries:
        if entry.is_dir():
            raise DataError(f"{entry.path}: a folder among images. data.root names the folder whose folders are the classes, or the parts.")
        if not entry.name.lower().endswith(SUFFIXES):
            raise DataError(f"{entry.path}: not an image ({', '.join(SUFFIXES)}). Convert it, or remove it.")
    return [Path(entry.path) for entry in entries]


def _entries(folder, root):
    """What lies in a folder, in the order of the names, without hidden files. DataError for a link that leads out of the root."""
    entries = sorted((entry for entry in os.scandir(folder) if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(root)):
            raise DataError(f"{entry.path}: a link that leads out of {root}. Copy there what it leads to, or remove it.")
    return entries


def _listed(path, table, root):
    """A path that a table names. DataError if there is no such file below the root."""
    if not path.is_file() or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise DataError(f"{path}: {table.name} names it, and it is not there. Get the data again.")
    return path


def _lines(table):
    try:
        check_file(table, LARGEST_TABLE)
        return read_text(table, LARGEST_TABLE).splitlines()
    except FileNotFoundError:
        raise DataError(f"{table}: there is no such file, which holds the labels. Put it there.") from None
    except ValueError as error:
        raise DataError(f"{table}: cannot be read ({error}). Get it again.") from error


def _annotation(file):
    """The label in a .npy file of AffectNet, which holds one text."""
    try:
        check_file(file, 10_000)
        return str(np.load(file).item())
    except (ValueError, EOFError) as error:  # EOFError: an empty file
        raise DataError(f"{file}: it holds no label ({' '.join(str(error).split())[:100]}). Get it again.") from error


def _majorities(table):
    """{name of an image: class} of a table whose last ten columns are the votes, in the order of OPTIONS."""
    found = {}
    for number, row in enumerate(csv.reader(io.StringIO("\n".join(_lines(table)))), 1):
        name = next((cell for cell in row if cell.endswith(".png")), None)
        if name is None:  # the header, and rows of images that were removed
            continue
        try:
            votes = np.array([int(vote) for vote in row[-len(OPTIONS) :]])
        except ValueError:
            raise DataError(f"{table}, line {number}: its last {len(OPTIONS)} columns must be votes. Get it again.") from None
        leads = np.flatnonzero(votes == votes.max())
        if len(leads) == 1 and (option := OPTIONS[leads[0]]) in FERPLUS:
            found[name] = FERPLUS[option]
    return found
