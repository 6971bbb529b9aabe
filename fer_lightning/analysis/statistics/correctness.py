"""Which images each run classified correctly, from its predictions.parquet."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fer_lightning.analysis.statistics.calibration import calibrate
from fer_lightning.runs.layout import PREDICTIONS
from fer_lightning.runs.predictions import part_of, predicted, probabilities, read_predictions


@dataclass(frozen=True)
class Answers:
    """right: (runs, images), whether each run's most likely class was the label; None if the runs have no common images, and why says why
    clean: (images,), which of them have no twin in the other parts; None if that is not known or not the same in all runs
    apart: whether the reason is that runs were scored on different images
    equal: groups of runs whose predictions are equal to the last bit
    calibrations: {run: its Calibration}, of those that have one
    """

    right: np.ndarray | None
    why: str = ""
    clean: np.ndarray | None = None
    apart: bool = False
    equal: tuple = ()
    calibrations: dict = field(default_factory=dict)


NO_ANSWERS = Answers(None)


def read_answers(folder, names, part):
    """The Answers of some runs on one part (val or test). names: of the run folders"""
    first, rights, cleans, digests, calibrations, why, apart = None, [], [], {}, {}, "", False
    for name in names:
        try:
            table = read_predictions(Path(folder) / name)
        except (OSError, ValueError):
            why = why or f"{name} has no readable {PREDICTIONS}"
            continue
        if calibration := calibrate(table):
            calibrations[name] = calibration
        table = part_of(table, part)
        if not len(table):
            why = why or f"{name} has no predictions of the {part} part"
            continue
        rows, found = table.index.to_numpy(), probabilities(table)
        first = rows if first is None else first
        if not np.array_equal(rows, first):
            why, apart = f"{name} was scored on other images than {names[0]}", True
        rights.append(predicted(found) == table["label"].to_numpy())
        known = "clean" in table and table["clean"].notna().all()
        cleans.append(table["clean"].to_numpy(bool) if known else None)
        if np.isfinite(found).all():  # runs that diverged are alike in nothing else
            digests.setdefault(hashlib.sha256(np.ascontiguousarray(found)).digest(), []).append(name)
    equal = tuple(tuple(group) for group in digests.values() if len(group) > 1)
    if why:
        return Answers(None, why, None, apart, equal, calibrations)
    same = all(clean is not None and np.array_equal(clean, cleans[0]) for clean in cleans)
    return Answers(np.stack(rights), why, cleans[0] if same else None, apart, equal, calibrations)


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
