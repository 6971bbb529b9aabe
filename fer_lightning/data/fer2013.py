"""FER-2013 in any layout. `python -m fer_lightning.data.fer2013 [ROOT]` prints fer2013 if there is a copy, else synthetic."""

import os
import shlex
import sys
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np

from fer_lightning.data import cache
from fer_lightning.data.csv_reader import read_archive, read_files, read_table
from fer_lightning.data.faces import LABEL_SETS, NO_LABEL, Faces
from fer_lightning.data.ferplus import FILE, attach, relabel
from fer_lightning.data.folder_reader import SPLIT_NAMES, list_images, read_folders, split_folders
from fer_lightning.data.parquet_reader import list_tables, read_parquet
from fer_lightning.data.published_copy import difference
from fer_lightning.process.errors import ConfigError, DataError, near

MISSING = """No copy of FER-2013 in {places}.{lying}
Looked for fer2013.csv, icml_face_data.csv, fer2013.tar.gz, *.parquet, train/<class>/*.jpg or *.png, train.csv with test.csv.
Where to get it (unpack a .zip first):
  Kaggle, competition "Challenges in Representation Learning: Facial Expression Recognition Challenge": icml_face_data.csv, fer2013.tar.gz
  Kaggle, folders of JPEG images: python -c "import kagglehub; print(kagglehub.dataset_download('msambare/fer2013'))"
  Hugging Face, Parquet: hf download --repo-type dataset Aaryan333/fer2013_train_publicTest_privateTest --local-dir data/fer2013
Say where it is with the environment variable FER2013_ROOT or the override data.root=...; data=synthetic runs without it."""


READABLE = (".csv", ".tar.gz", ".tgz")


def read(
    root: str | PathLike[str],
    cache_dir: str | PathLike[str] | None = None,
    *,
    accept_modified: bool = False,
    labels: str = "fer",
    ferplus: str | PathLike[str] | None = None,
) -> Faces:
    """The Faces of the copy at `root`, a file or a folder; the layout is recognised by its files.

    cache_dir: folder of the memory map, by default fer_lightning/ in $XDG_CACHE_HOME or ~/.cache
    accept_modified: also accept a copy that is not the published one
    labels: fer | ferplus_majority | ferplus_votes; with the last two, images without a clear majority have no label
    ferplus: the file of FER+ votes, by default fer2013new.csv beside the copy; with labels=fer it may be missing
    DataError: no copy, a damaged copy, or one that is not the published one; votes that are missing, damaged or of other images
    """
    if labels not in LABEL_SETS:
        raise ConfigError(f"data.labels={labels}: there is no such choice. {near(labels, LABEL_SETS)}")
    root = Path(root).expanduser().absolute()
    try:
        found = _find(root)
        if found is None:
            raise DataError(MISSING.format(places=" or ".join(map(str, _places(root))), lying=_lying(root)))
        source, plan = found
        faces = cache.load(source, *plan(source), cache_dir)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error}).") from error
    if faces.verdict in ("modified", "unknown") and not accept_modified:
        unlabelled = np.sum(faces.labels == NO_LABEL)
        raise DataError(
            f"{source}: not the published FER-2013 (verdict: {faces.verdict}): {difference(faces.counts)}."
            + (f" {unlabelled:,} images have no label." if unlabelled else "")
            + " Get another copy, or use this one with data.accept_modified=true."
        )
    beside = [place / FILE for place in _places(root.parent if root.is_file() else root)]
    faces = attach(faces, [Path(ferplus).expanduser().absolute()] if ferplus else beside, needed=bool(ferplus) or labels != "fer")
    return faces if labels == "fer" else relabel(faces, labels)


def _places(root):
    """torchvision keeps its copy in fer2013/, Hugging Face in data/."""
    return [root, root / "fer2013", root / "data"]


def _find(root):
    """(file or folder, function that plans its reading) of the first layout found, the most faithful first; None if there is none."""
    if root.is_file():
        return root, _file
    for folder in filter(Path.is_dir, _places(root)):
        for name in ("fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz"):
            if (folder / name).is_file():
                return folder / name, _file
        if list_tables(folder):
            return folder, _parquet
        if any(SPLIT_NAMES[split.name.lower()] == 0 and any(map(Path.is_dir, split.iterdir())) for split in split_folders(folder)):
            return folder, _folders
        if any((folder / name).is_file() for name in ("train.csv", "test.csv")):
            return folder, _pair
    return None


def _lying(root):
    """What lies in the folders that were searched, and what to do if it is the data; empty if nothing does."""
    found = [path for folder in _places(root) if folder.is_dir() for path in folder.glob("[!.]*") if path.name.isprintable()]
    found.sort(key=lambda path: (_remedy(path) is None, path))
    if not found:
        return ""
    names = [path.name + "/" * path.is_dir() for path in found[:9]] + [f"{len(found) - 9:,} more"] * (len(found) > 9)
    return f" What lies there: {', '.join(names)}. {_remedy(found[0]) or ''}".rstrip()


def _remedy(path):
    name = path.name.lower()
    if name.endswith(".zip"):
        return f"Unpack {path.name} first."
    if name.endswith(READABLE) and name != FILE:
        return f"If {path.name} is the data, set FER2013_ROOT={shlex.quote(str(path))}."
    return None


def _file(path):
    if path.name in ("train.csv", "val.csv", "test.csv"):
        return _pair(path.parent)
    name = path.name.lower()
    if name.endswith(".parquet"):
        return [path], partial(read_parquet, [path])
    for suffix, reader in ((".csv", read_table), (".tar.gz", read_archive), (".tgz", read_archive)):
        if name.endswith(suffix):
            return [path], partial(reader, path)
    raise DataError(f"{path}: not a .csv, .tar.gz or .parquet file. Unpack it, or name the folder it is in.")


def _parquet(folder):
    files = list_tables(folder)
    return files, partial(read_parquet, files)


def _folders(folder):
    files = list_images(folder)
    return files, partial(read_folders, files)


def _pair(folder):
    train, val, test = (folder / f"{split}.csv" for split in ("train", "val", "test"))
    for path in (train, test):
        if not path.is_file():
            raise DataError(f"{path}: missing, and the other of train.csv and test.csv is of no use without it.")
    val = val if val.is_file() else None
    return [path for path in (train, val, test) if path], partial(read_files, train, val, test)


if __name__ == "__main__":
    place = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FER2013_ROOT") or "data"
    print("fer2013" if _find(Path(place).expanduser()) else "synthetic")
