"""Which pictures each run got right, from its predictions.parquet."""

from pathlib import Path

import numpy as np

from fer_lightning.runs.layout import PREDICTIONS
from fer_lightning.runs.predictions import read_columns


def correctness(folder, names, part):
    """Whether each run's likeliest class was the label, on one part (val or test).

    names: of the run folders. Returns ((runs, pictures) bool, ""), or (None, why) where the runs have no pictures in common to be
    resampled: a file is missing or damaged, or the runs were scored on different pictures.
    """
    first, rights = None, []
    for name in names:
        try:
            rows, right = _read(Path(folder) / name / PREDICTIONS, part)
        except (OSError, ValueError):
            return None, f"{name} has no readable {PREDICTIONS}"
        if not len(rows):
            return None, f"{name} has no predictions of the {part} part"
        first = rows if first is None else first
        if not np.array_equal(rows, first):
            return None, f"{name} was scored on other pictures than {names[0]}"
        rights.append(right)
    return np.stack(rights), ""


def _read(path, part):
    """(row numbers, whether right) of one part, in the order of the rows."""
    table = read_columns(path)
    chosen = table["split"].to_numpy() == part
    classes = sorted(name for name in table.column_names if name[0] == "p" and name[1:].isdigit())
    answer = np.stack([table[name].to_numpy()[chosen] for name in classes]).argmax(0)
    rows, labels = (table[name].to_numpy()[chosen] for name in ("row", "label"))
    order = np.argsort(rows, kind="stable")
    return rows[order], (answer == labels)[order]


def discordance(right):
    """The mean share of pictures that exactly one of two runs gets right, over all pairs of runs (runs, pictures); NaN for one run."""
    runs, pictures = right.shape
    if runs < 2:
        return np.nan
    k = right.sum(0)
    # A picture that k of R runs get right sets k (R - k) of the R (R - 1) / 2 pairs apart.
    return float((k * (runs - k)).sum() / pictures / (runs * (runs - 1) / 2))
