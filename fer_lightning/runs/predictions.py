"""The predictions.parquet of a run, checked: what it says of its columns and of itself may come from anyone."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lightning.process.files import replacing
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import PREDICTIONS
from fer_lightning.safety.untrusted_files import check_file

# FER-2013 has 7,178 pictures of val and test, a row each.
MOST_ROWS = 5_000_000
MOST_CLASSES = 1000

WANTED = "it wants row, split, label, p0, p1 ... and a picture once"


@first_only
def write_predictions(folder, parts, clean=None):
    """parts: {split: (logits (N, 7), labels (N,), rows (N,))} of tensors; clean: mask of the test pictures (N,), None: not known.

    The column `clean` is empty for val: it says which test pictures have no identical twin among those trained or selected on.
    """
    frames = []
    for split, (logits, labels, rows) in parts.items():
        frame = pd.DataFrame(logits.softmax(1).cpu().numpy(), columns=[f"p{c}" for c in range(logits.shape[1])])
        frame.insert(0, "row", rows.cpu().numpy())
        frame.insert(1, "split", split)
        frame.insert(2, "label", labels.cpu().numpy())
        known = clean is not None and split == "test"
        frame.insert(3, "clean", pd.array(clean.cpu().numpy() if known else [None] * len(frame), dtype="boolean"))
        frames.append(frame)
    with replacing(Path(folder) / PREDICTIONS) as part:
        pd.concat(frames).to_parquet(part, index=False)


def read_predictions(path):
    """The table as a frame. OSError where there is no such file; ValueError where it is damaged, or no such table."""
    frame = read_columns(path).to_pandas()
    if frame.duplicated(["split", "row"]).any():
        raise ValueError(WANTED)
    if "clean" in frame:
        frame["clean"] = frame["clean"].astype("boolean")
    return frame


def read_columns(path):
    """The table with the columns that we know: row, split, label, clean where it is there, and the probabilities of all classes."""
    from pyarrow import parquet

    check_file(path)
    try:
        with parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise ValueError(f"it says it has {file.metadata.num_rows:,} rows")
            kinds = {field.name: field.type for field in file.schema_arrow}
            classes = sorted((name for name in kinds if name[:1] == "p" and name[1:].isdecimal()), key=lambda name: int(name[1:]))
            _check_kinds(kinds, classes)
            known = [name for name in ("row", "split", "label", "clean") if name in kinds]
            # What the file says of pandas names the classes that it is to build.
            table = file.read([*known, *classes]).replace_schema_metadata(None)
        _check_values(table, classes)
    except Exception as error:  # there is no end to what a damaged file can raise
        raise ValueError(" ".join(str(error).split())[:300] or type(error).__name__) from error
    return table


def _check_kinds(kinds, classes):
    from pyarrow import types

    whole = all(name in kinds and types.is_integer(kinds[name]) for name in ("row", "label"))
    text = "split" in kinds and (types.is_string(kinds["split"]) or types.is_large_string(kinds["split"]))
    clean = "clean" not in kinds or types.is_boolean(kinds["clean"]) or types.is_null(kinds["clean"])
    numbers = 0 < len(classes) <= MOST_CLASSES and all(types.is_floating(kinds[name]) for name in classes)
    if not (whole and text and clean and numbers):
        raise ValueError(WANTED)


def _check_values(table, classes):
    from pyarrow import compute

    if any(table[name].null_count for name in ("row", "split", "label")):
        raise ValueError("it has empty cells")
    if not len(table):
        return
    for name, most in (("row", np.iinfo(np.int64).max), ("label", len(classes) - 1)):
        span = compute.min_max(table[name]).as_py()
        if span["min"] < 0 or span["max"] > most:
            raise ValueError(f"{name} is {span['min']} to {span['max']}")
    for name in classes:
        values = table[name].to_numpy()
        if ((values < 0) | (values > 1.001)).any():  # those of a run that diverged are NaN
            raise ValueError(f"{name} is no probability")
