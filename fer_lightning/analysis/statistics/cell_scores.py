"""The cells of a study one by one: what their runs scored, and how much of it is noise."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.correctness import discordance
from fer_lightning.analysis.statistics.descriptive import FEWEST_RESAMPLED, binomial_error, describe, expected_maximum, least_difference
from fer_lightning.analysis.wording import percent, percent_interval


def describe_cells(design, scores, images, resamples):
    """One row a cell: its levels, n, mean, sd, iqm, min, max, low, high (see `describe`), expected_max: of the best of n runs.

    scores: {outcome, clean, near, logit: (blocks, cells)}; those of the others under clean_mean, near_mean, logit_mean, and so on, the
    column left out where no run has the score. images: (blocks, cells), how many pictures the outcome is a share of.
    """
    rows = []
    for i, cell in enumerate(design.cells):
        row = dict(zip(design.levels, cell)) | describe(scores["outcome"][:, i], _first(images[:, i]), resamples)
        row["expected_max"] = expected_maximum(row["mean"], row["sd"], row["n"])
        for name in ("clean", "near", "logit"):
            if not np.isnan(scores[name]).all():
                row |= {f"{name}_{key}": value for key, value in describe(scores[name][:, i], resamples=resamples).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def cells_finding(design, frame, first, images, right):
    """A Finding with every cell's scores. first: position of the cell whose noise is told; right: (runs, pictures) or None."""
    shown = frame[list(design.levels)].copy()
    shown["seeds"] = frame["n"]
    for prefix, title in {"": "", "clean_": "clean ", "near_": "near-clean "}.items():
        if f"{prefix}mean" not in frame:
            continue
        columns = [f"{prefix}{key}" for key in ("mean", "sd", "iqm", "low", "high", "min", "max")]
        mean, sd, iqm, low, high, least, most = (frame[column] for column in columns)
        shown[f"{title}mean %"] = mean.map(percent)
        shown[f"{title}95 % interval"] = [percent_interval(*bounds) for bounds in zip(low, high)]
        if not prefix:
            repeated = frame["n"] > 1
            shown["standard deviation"] = sd.map(percent)
            shown["interquartile mean %"] = iqm.where(repeated).map(percent)
            shown["lowest to highest %"] = [percent_interval(*bounds) for bounds in zip(least.where(repeated), most)]
            shown["expected highest %"] = frame["expected_max"].where(repeated).map(percent)
    text = [
        f"95 % intervals of the mean over seeds: Student's, from {FEWEST_RESAMPLED} seeds on BCa; of one run Wilson's over the pictures. "
        "The highest seed is no result: the best of n draws is expected there even where nothing but chance sets them apart."
    ]
    return Finding("Cells", (*text, *_noise(frame["mean"][first], _first(images[:, first]), right)), shown)


def _noise(accuracy, images, right):
    """Sentences on what the finite number of pictures alone does to an accuracy."""
    if np.isnan(images):
        return []
    error = binomial_error(accuracy, images)
    sentences = [
        f"Noise floor: an accuracy of {percent(accuracy)} % on {int(images):,} pictures has a standard error of {percent(error)} points "
        f"(95 %: ±{percent(1.96 * error)}), whatever the seeds."
    ]
    if right is not None and len(right) > 1:
        apart = discordance(right)
        least, sure = (percent(least_difference(apart, images, power=power)) for power in (0.5, 0.8))
        sentences.append(
            f"In {percent(apart, 1)} % of the pictures one of two runs is right and the other wrong. Two single networks that differ so "
            f"need {least} points between them for p < 0.05 (McNemar), and {sure} points for 80 % power."
        )
    return sentences


def _first(values):
    known = values[~np.isnan(values)]
    return known[0] if len(known) else np.nan
