"""How stable the trainings of each cell were: the measures over seeds, the spread between seeds, and the label."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.stability_labels import REFERENCE_SEEDS, label_cells, provisional_labels
from fer_lightning.analysis.statistics.descriptive import wilson_interval
from fer_lightning.analysis.statistics.layout import Design, layout
from fer_lightning.analysis.wording import listed
from fer_lightning.config.cell_names import level_text
from fer_lightning.config.registered_analysis import registered
from fer_lightning.runs.predictions import MOST_CLASSES, NO_CLASS, part_of, predicted, probabilities, read_predictions
from fer_lightning.stability.measures import MEASURES
from fer_lightning.stability.run_label import CUT_OFFS, provisional_label

# No share varies more: that of half the runs is 0, of the other half 1.
MOST_SD = 0.5


@dataclass(frozen=True)
class MeasuredRuns:
    """runs: the finished runs that recorded their stability, with cell, diverged, label and the measures as numbers
    reference: mask of the runs of the reference cell; None if the cell cannot be used, and why_not says why
    """

    design: Design
    runs: pd.DataFrame
    reference: pd.Series | None
    why_not: str = ""


def measured_runs(jobs, reference):
    """The MeasuredRuns of a study. jobs: frame of `make_jobs`; reference: {axis: level} of the reference cell, {} if none is registered."""
    design = layout(jobs, "test_accuracy")
    done = design.done[design.done["stability_label"].notna()]
    numbers = {name: pd.to_numeric(done[f"stability_{name}"], errors="coerce") for name in MEASURES if name != "div"}
    accuracy = pd.to_numeric(done["test_accuracy"], errors="coerce")
    diverged = done["stability_div"].eq(True)  # None if it is not known
    runs = done[["name", "cell"]].assign(**numbers, test_accuracy=accuracy, diverged=diverged)
    runs["label"] = [_label(run) for run in runs.to_dict("records")]  # by the cut-offs of today, whatever release measured the run
    if not reference:
        return MeasuredRuns(design, runs, None, "no reference cell is registered (study.analysis.reference)")
    named = ", ".join(f"{axis}={level}" for axis, level in reference.items())
    left_open = [axis for axis in design.levels if axis not in reference]
    if left_open:
        return MeasuredRuns(design, runs, None, f"the registered reference cell ({named}) gives no level of {listed(left_open)}")
    mask = pd.Series(True, runs.index)
    for axis, level in reference.items():
        if axis in done:  # the jobs do not record axes that are not swept
            mask &= done[axis].map(level_text) == level_text(level)
    complete = int((mask & ~runs["diverged"] & runs[list(CUT_OFFS)].notna().all(axis=1)).sum())
    if complete < REFERENCE_SEEDS:
        why_not = f"the reference cell ({named}) has {complete} complete runs that did not diverge; {REFERENCE_SEEDS} are needed"
        return MeasuredRuns(design, runs, None, why_not)
    return MeasuredRuns(design, runs, mask)


def _label(run):
    return provisional_label({name: None if np.isnan(run[name]) else run[name] for name in CUT_OFFS} | {"div": run["diverged"]})


def stability_table(folder, measured):
    """One row for each cell with measured runs. folder: of the study; measured: MeasuredRuns.

    Columns: the varying axes, cell (its name), n; the mean of each measure over the runs that did not diverge (jit, gap in points; dead,
    dormant, clip as fractions); ssd, ssd_low, ssd_high: standard deviation of the test accuracy over seeds and its 95 % interval; churn:
    share of the test images on which two seeds disagree; failrate, failrate_low, failrate_high (all fractions); test_accuracy; score,
    low, high: S and its 90 % interval, NaN without a reference; label, and agree: how many runs have it as their own label, NaN if the
    rule labels the cell.
    """
    design, runs = measured.design, measured.runs
    rows = []
    for cell, group in runs.groupby("cell"):
        sound = group[~group["diverged"]]
        ssd, ssd_low, ssd_high = seed_deviation(group["test_accuracy"].dropna().to_numpy())
        diverged = int(group["diverged"].sum())
        low, high = wilson_interval(diverged, len(group))
        rows.append(
            dict(zip(design.levels, design.cells[cell]))
            | {"cell": design.name(design.cells[cell]), "n": len(group)}
            | {name: sound[name].mean() for name in MEASURES if name != "div"}
            | {"ssd": ssd, "ssd_low": ssd_low, "ssd_high": ssd_high, "churn": churn(folder, group["name"])}
            | {"failrate": diverged / len(group), "failrate_low": low, "failrate_high": high}
            | {"test_accuracy": group["test_accuracy"].mean()}
        )
    return pd.concat([pd.DataFrame(rows), _labels(measured).reset_index(drop=True)], axis=1)


def _labels(measured):
    return provisional_labels(measured.runs) if measured.reference is None else label_cells(measured.runs, measured.reference)


def cell_words(jobs, study):
    """{run: the label of its cell} of the runs that recorded their stability."""
    measured = measured_runs(jobs, registered(study).reference)
    if not len(measured.runs):
        return {}
    return dict(zip(measured.runs["name"], _labels(measured)["label"].loc[measured.runs["cell"]]))


def seed_deviation(values, level=0.95):
    """(SD, low, high) of a share over seeds, the interval from the chi-squared distribution, up to MOST_SD.

    NaN for fewer than two values; no interval if they are equal.
    """
    if len(values) < 2:
        return np.nan, np.nan, np.nan
    sd, df = np.std(values, ddof=1), len(values) - 1
    if not sd > 1e-12:
        return sd, np.nan, np.nan
    tail = (1 - level) / 2
    return sd, sd * np.sqrt(df / scipy.stats.chi2.isf(tail, df)), min(sd * np.sqrt(df / scipy.stats.chi2.ppf(tail, df)), MOST_SD)


def churn(folder, names):
    """Mean share of the test images on which two runs disagree, over all pairs of runs and the images that both have.

    names: of the run folders. NaN if no two of them with readable predictions share an image.
    """
    rows, answers = [], []  # answers: one number for each image (its row in the data) and class, which is NO_CLASS or more
    for name in names:
        try:
            test = part_of(read_predictions(Path(folder) / name), "test")
        except (OSError, ValueError):
            continue
        rows.append(test.index.to_numpy())
        answers.append(rows[-1] * (MOST_CLASSES + 1) + predicted(probabilities(test)) - NO_CLASS)
    runs, votes = (np.unique(np.concatenate([[], *of_runs]), return_counts=True)[1] for of_runs in (rows, answers))
    pairs = (runs * (runs - 1)).sum()
    return float(1 - (votes * (votes - 1)).sum() / pairs) if pairs else np.nan
