"""predictions.parquet: what a run with its selected weights predicts for every image of val and test.

Columns: row (of the image in the data), split (val | test), label, clean, and the probability of each class, p0, p1, ...
clean says which test images have no identical twin among those trained or selected on; it is empty for val and where it is not known.
predictions_ten_crop.parquet and the like: the same from several views of each image, if the run was evaluated on them.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lightning.process.files import replacing
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import PREDICTIONS, PREDICTIONS_OF_VIEWS
from fer_lightning.safety.untrusted_files import only_value_errors, read_parquet

# FER-2013 has 35,887 images, 7,178 of them in val and test. No row number reaches this, and no file has more rows.
MOST_ROWS = 5_000_000
MOST_CLASSES = 1000

# What a run predicts for an image whose probabilities are NaN, because it diverged: no class, so it is wrong whatever the label is.
NO_CLASS = -1

WANTED = "it wants row, split, label, p0, p1 ... and each image once"


@first_only
def write_predictions(folder, parts, clean=None, views=None):
    """parts: {split: (probabilities (N, C), labels (N,), rows (N,))} as arrays; clean: mask of the test images (N,), None: not known.

    views: ten_crop or the like, of predictions that are averaged over several views of each image
    """
    frames = []
    for split, (probabilities, labels, rows) in parts.items():
        frame = pd.DataFrame(probabilities, columns=[f"p{c}" for c in range(probabilities.shape[1])])
        frame.insert(0, "row", rows)
        frame.insert(1, "split", split)
        frame.insert(2, "label", labels)
        known = clean is not None and split == "test"
        frame.insert(3, "clean", pd.array(clean if known else [None] * len(frame), dtype="boolean"))
        frames.append(frame)
    with replacing(predictions_file(folder, views)) as part:
        pd.concat(frames).to_parquet(part, index=False)


def read_predictions(folder, views=None):
    """The table of a run folder, checked: it may come from anyone. OSError if there is no such file; ValueError if it is damaged."""
    table = read_parquet(predictions_file(folder, views), _known_columns, MOST_ROWS)
    with only_value_errors():
        _check_values(table)
        frame = table.to_pandas()
    if "clean" in frame:
        frame["clean"] = frame["clean"].astype("boolean")
    return frame


def predictions_file(folder, views=None):
    """The file of a run folder; views: of the average of several views of each image."""
    return Path(folder) / (PREDICTIONS_OF_VIEWS[views] if views else PREDICTIONS)


def part_of(table, split):
    """The images of val or test, ordered by their rows in the data, which are the index."""
    return table[table["split"] == split].set_index("row").sort_index()


def probabilities(table):
    """(N, C) of a table of predictions."""
    return table[class_columns(table)].to_numpy()


def predicted(probabilities):
    """The most probable class (N,) of probabilities (N, C); NO_CLASS for an image with one that is NaN or infinite."""
    return np.where(np.isfinite(probabilities).all(1), probabilities.argmax(1), NO_CLASS)


def mistakes(labels, probabilities, most):
    """[(true class, class it is taken for, which images)], the most frequent kind first, at most `most` of them; the surest image first.

    labels (N,), probabilities (N, C)
    """
    found = predicted(probabilities)
    wrong = np.flatnonzero((found != labels) & (found != NO_CLASS))
    kinds, counts = np.unique(np.stack([labels, found])[:, wrong], axis=1, return_counts=True)
    for true, taken in kinds[:, np.argsort(-counts, kind="stable")[:most]].T:
        which = wrong[(labels[wrong] == true) & (found[wrong] == taken)]
        yield true, taken, which[np.argsort(-probabilities[which, taken], kind="stable")]


def class_name(predicted, names):
    return "no class" if predicted == NO_CLASS else names[predicted]


def class_columns(names):
    """The names of the columns with the probabilities, in the order of the classes."""
    return sorted((name for name in names if name[:1] == "p" and name[1:].isdecimal()), key=lambda name: int(name[1:]))


def _known_columns(kinds):
    """The columns to read. kinds: {name: pyarrow type}. ValueError if one is missing or of another type."""
    from pyarrow import types

    classes = class_columns(kinds)
    integers = all(name in kinds and types.is_integer(kinds[name]) for name in ("row", "label"))
    text = "split" in kinds and (types.is_string(kinds["split"]) or types.is_large_string(kinds["split"]))
    clean = "clean" not in kinds or types.is_boolean(kinds["clean"]) or types.is_null(kinds["clean"])
    numbers = 0 < len(classes) <= MOST_CLASSES and all(types.is_floating(kinds[name]) for name in classes)
    if not (integers and text and clean and numbers):
        raise ValueError(WANTED)
    return [*(name for name in ("row", "split", "label", "clean") if name in kinds), *classes]


def _check_values(table):
    """ValueError unless rows are those of images, each once, labels those of classes, and probabilities between 0 and 1."""
    from pyarrow import compute

    if any(table[name].null_count for name in ("row", "split", "label")):
        raise ValueError("it has empty cells")
    if not len(table):
        return
    classes = class_columns(table.column_names)
    for name, most in (("row", MOST_ROWS - 1), ("label", len(classes) - 1)):
        span = compute.min_max(table[name]).as_py()
        if span["min"] < 0 or span["max"] > most:
            raise ValueError(f"{name} is {span['min']} to {span['max']}")
    if len(table.group_by(["split", "row"]).aggregate([])) < len(table):
        raise ValueError(WANTED)
    for name in classes:
        values = table[name].to_numpy()
        if ((values < 0) | (values > 1.001)).any():  # those of a run that diverged are NaN
            raise ValueError(f"{name} is no probability")
