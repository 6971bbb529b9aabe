"""The scores of each cell, and the noise that the finite number of images alone causes."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.correctness import discordance
from fer_lightning.analysis.statistics.descriptive import binomial_error, describe, expected_maximum, least_difference
from fer_lightning.analysis.wording import percent, percent_interval


def describe_cells(design, scores, images):
    """One row a cell: its levels, n, mean, sd, iqm, min, max, low, high (see `describe`), expected_max: expected maximum of n runs.

    scores: {outcome, clean, near, logit: (blocks, cells)}. The other scores give columns such as clean_mean and near_sd, if any run has
    the score. images: (blocks, cells), of how many images the outcome is a share.
    """
    rows = []
    for i, cell in enumerate(design.cells):
        row = dict(zip(design.levels, cell)) | describe(scores["outcome"][:, i], _first_known(images[:, i]))
        row["expected_max"] = min(expected_maximum(row["mean"], row["sd"], row["n"]), 1.0)  # a share
        for name in ("clean", "near", "logit"):
            if not np.isnan(scores[name]).all():
                row |= {f"{name}_{key}": value for key, value in describe(scores[name][:, i], share=name != "logit").items()}
        rows.append(row)
    return pd.DataFrame(rows)


def cells_finding(design, frame, *, first, images, answers):
    """The Finding on the scores of every cell.

    frame: of `describe_cells`; first: position of the cell whose noise is shown; images: (blocks, cells); answers: of `read_answers`
    """
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
        "95 % intervals of the mean over seeds: Student's, for other seeds on these images; for one run Wilson's over the images. Do not "
        "report the highest seed as the result: chance alone lets the highest of n seeds reach the expected highest."
        if not answers.apart
        else "95 % intervals of the mean over seeds, each with images of its own: Student's. Do not report the highest seed as the result: "
        "chance alone lets the highest of n seeds reach the expected highest.",
    ]
    if "clean_mean" in frame:
        text.append("Clean: without the test images that have a duplicate among the images trained or selected on.")
    return Finding("Cells", (*text, *_noise(frame["mean"][first], _first_known(images[:, first]), answers)), shown)


def _noise(accuracy, images, answers):
    """Sentences on the noise of an accuracy that comes from the finite number of images."""
    if np.isnan(images):
        return []
    error = binomial_error(accuracy, images)
    sentences = [
        f"Noise floor: an accuracy of {percent(accuracy)} % on {int(images):,} images has a standard error of {percent(error)} points "
        f"(95 %: ±{percent(1.96 * error)}), " + ("in each run." if answers.apart else "however many seeds there are.")
    ]
    right = answers.right
    if right is not None and len(right) > 1:
        apart = discordance(right)
        least, sure = (percent(least_difference(apart, images, power=power)) for power in (0.5, 0.8))
        sentences.append(
            f"On {percent(apart, 1)} % of the images one of two runs is right and the other wrong. Two single networks that disagree this "
            f"often must differ by {least} points for p < 0.05 (McNemar's test), and by {sure} points for 80 % power."
        )
    return sentences


def _first_known(values):
    known = values[~np.isnan(values)]
    return known[0] if len(known) else np.nan
