"""The stability label of a cell, from the measures of its runs: compared with a reference cell, or from the runs' own labels without one.

The rule was fixed before any result was seen; docs/stability.md explains it. `fer_lightning.stability.measures` has the measures of a run.
"""

import numpy as np
import pandas as pd
import scipy

from fer_lightning.stability.run_label import CUT_OFFS, TITLES

# The smallest spread of each measure that z scores divide by: in a reference cell a measure may have no spread at all.
FLOORS = {"spk": 0.5, "osc": 0.10, "jit": 0.15, "gnv": 0.05, "dead": 0.01}
REFERENCE_SEEDS = 10  # runs that the reference cell must have
CLIP = (-5, 10)
WORST = 3  # the score of a run is the mean of this many z scores, the worst
HIGH_BELOW, LOW_ABOVE = 1, 3  # scores of cells labelled High and Low
MOST_DIVERGED = 0.1  # with a larger share of diverged runs a cell is Low
MOST_SD_RATIO = 2  # so it is if its seed SD over the reference's is larger and an F test has p < 0.05
RESAMPLES = 2000

# From the worst on, which wins if two labels are equally frequent.
LABELS = ("Low", "Undetermined", "Moderate", "High")


def z_scores(measures, reference):
    """How many robust SDs each measure of each run is above the median of the reference: (N, M), clipped to -5 to 10; larger is worse.

    measures: frame (N, M) of the measures that make the label; reference: mask (N,) of the reference runs
    """
    of_reference = measures[reference]
    median = of_reference.median()
    scale = np.maximum(1.4826 * (of_reference - median).abs().median(), pd.Series(FLOORS)[measures.columns])
    return ((measures - median) / scale).clip(*CLIP)


def run_scores(z):
    """The mean of the three worst z scores of each run, (N,), from z (N, M); NaN if a measure is missing."""
    return np.sort(z.to_numpy(), axis=1)[:, -WORST:].mean(1)


def seed_interval(scores, level=0.9):
    """Percentile bootstrap interval (low, high) of a mean over seeds. scores: (N,), one a seed. NaN for fewer than two."""
    if len(scores) < 2:
        return np.nan, np.nan
    draws = np.random.default_rng(0).integers(len(scores), size=(RESAMPLES, len(scores)))
    return tuple(np.quantile(scores[draws].mean(1), ((1 - level) / 2, (1 + level) / 2)))


def cell_label(low, high, *, diverged, runs, sd_ratio, p):
    """Low, High, Moderate or Undetermined.

    low, high: interval of S; diverged, runs: counts; sd_ratio: seed SD over the reference's; p: of an F test that it is no larger
    An interval that contains a cut-off is Undetermined: more seeds settle it, rounding does not. So is a cell that is as good as the
    reference, but for a run that diverged.
    """
    if low > LOW_ABOVE or diverged / runs > MOST_DIVERGED or (sd_ratio > MOST_SD_RATIO and p < 0.05):
        return "Low"
    if high < HIGH_BELOW and not diverged:
        return "High"
    return "Moderate" if low >= HIGH_BELOW and high <= LOW_ABOVE else "Undetermined"


def why_label(label, low, high, *, diverged, runs, sd_ratio):
    """What decided the label of a cell, in words. Arguments as of `cell_label`."""
    failures = f"{diverged} of {runs} runs diverged"
    if label == "Low":
        spread = f"the seed SD is {sd_ratio:.1f} times that of the reference"
        return f"S is above {LOW_ABOVE}" if low > LOW_ABOVE else failures if diverged / runs > MOST_DIVERGED else spread
    if label == "High":
        return f"S is below {HIGH_BELOW}"
    if label == "Moderate":
        return f"S is between {HIGH_BELOW} and {LOW_ABOVE}"
    if not low <= high:
        return "fewer than two complete runs that did not diverge"
    inside = " and ".join(str(cut_off) for cut_off in (HIGH_BELOW, LOW_ABOVE) if low <= cut_off <= high)
    return f"the interval of S contains {inside}: more seeds would settle it" if inside else failures


def label_cells(runs, reference, without=None):
    """One row for each cell (the index): score, low, high, label, why; agree is NaN.

    runs: frame with cell, diverged, test_accuracy and the measures; reference: mask of the reference runs; without: a measure to leave out
    A diverged run has no score: it counts as a failure.
    """
    core = [name for name in CUT_OFFS if name != without]
    sound = ~runs["diverged"]
    scores = pd.Series(run_scores(z_scores(runs[core], reference & sound)), runs.index)[sound].dropna()
    of_reference = runs.loc[reference, "test_accuracy"].dropna()
    rows = {}
    for cell, group in runs.groupby("cell"):
        own = scores[scores.index.isin(group.index)].to_numpy()
        low, high = seed_interval(own)
        accuracy = group["test_accuracy"].dropna()
        ratio = accuracy.std() / of_reference.std() if of_reference.std() > 0 else np.nan
        p = scipy.stats.f.sf(ratio**2, len(accuracy) - 1, len(of_reference) - 1)
        counts = {"diverged": int(group["diverged"].sum()), "runs": len(group), "sd_ratio": ratio}
        label = cell_label(low, high, **counts, p=p)
        rows[cell] = {"score": own.mean() if len(own) else np.nan, "low": low, "high": high, "label": label, "agree": np.nan}
        rows[cell]["why"] = why_label(label, low, high, **counts)
    return pd.DataFrame.from_dict(rows, orient="index")


def provisional_labels(runs):
    """Like `label_cells`, from the runs' own labels: the most frequent, the worst if several are. agree: how many runs have it."""
    rows = {}
    for cell, group in runs.groupby("cell"):
        counts = group["label"].value_counts().reindex(LABELS, fill_value=0)
        label = counts.idxmax()  # of equally frequent ones the first
        rows[cell] = dict.fromkeys(("score", "low", "high"), np.nan) | {"label": label, "agree": counts[label], "why": _seen(group)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _seen(runs):
    """What is behind the runs' own labels, in words: divergence, measures that are a sign of Low, measures that are not known."""
    sound = runs[~runs["diverged"]]
    limits = {TITLES[name]: sound[name] > worst for name, (_, worst) in CUT_OFFS.items()}
    signs = [f"{name} above the limit in {above.sum()}" for name, above in limits.items() if above.any()]
    unknown = [TITLES[name] for name in CUT_OFFS if sound[name].isna().any()]
    diverged = int(runs["diverged"].sum())
    parts = [f"{diverged} of {len(runs)} runs diverged" if diverged else "", *signs]
    return "; ".join(filter(None, [*parts, f"{', '.join(unknown)} not measured" if unknown else ""]))
