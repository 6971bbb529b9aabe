"""Which images each run classified correctly, from its predictions.parquet."""

from pathlib import Path

import numpy as np

from fer_lightning.runs.layout import PREDICTIONS
from fer_lightning.runs.predictions import part_of, predicted, probabilities, read_predictions


def correctness(folder, names, part):
    """Whether each run's most likely class was the label, on one part (val or test).

    names: of the run folders. Returns ((runs, images) bool, ""), or (None, why) if the runs cannot be resampled over common images: a
    file is missing or damaged, or the runs were scored on different images.
    """
    first, rights = None, []
    for name in names:
        try:
            table = part_of(read_predictions(Path(folder) / name), part)
        except (OSError, ValueError):
            return None, f"{name} has no readable {PREDICTIONS}"
        if not len(table):
            return None, f"{name} has no predictions of the {part} part"
        rows = table.index.to_numpy()
        first = rows if first is None else first
        if not np.array_equal(rows, first):
            return None, f"{name} was scored on other images than {names[0]}"
        rights.append(predicted(probabilities(table)) == table["label"].to_numpy())
    return np.stack(rights), ""


def discordance(right):
    """The mean share of images that exactly one of two runs classifies correctly, over all pairs of runs; NaN for one run.

    right: (runs, images)
    """
    runs, images = right.shape
    if runs < 2:
        return np.nan
    k = right.sum(0)
    # An image that k of R runs classify correctly sets k (R - k) of the R (R - 1) / 2 pairs apart.
    return float((k * (runs - k)).sum() / images / (runs * (runs - 1) / 2))
