"""The stability label of a cell, from the measures of its runs: against a reference cell, or from the runs' own labels where there is none.

The rule was fixed before any result was seen; docs/stability.md has it in words, `fer_lightning.stability.measures` the measures of a run.
"""

import numpy as np
import pandas as pd

from fer_lightning.stability.measures import CUTS

# The least spread of each scored measure that counts as one: a reference cell may have none at all.
FLOORS = {"spk": 0.5, "osc": 0.10, "jit": 0.15, "gnv": 0.05, "dead": 0.01}
SEEDS = 10  # that the reference cell must have
CLIP = (-5, 10)
WORST = 3  # measures that make a run's score
GOOD, BAD = 1, 3  # scores below and above which a cell is High and Low
FAILURES = 0.1  # a larger share of diverged runs is Low
SPREAD = 2  # so is a larger ratio of seed SDs, where an F test has p < 0.05
RESAMPLES = 2000

# From the worst, which wins where runs are divided.
WORDS = ("Low", "Undetermined", "Moderate", "High")


def z_scores(measures, reference):
    """How many robust SDs each run's measures lie above the reference's median: (N, M), clipped to -5 to 10; more is worse.

    measures: frame (N, M) of scored measures; reference: mask (N,) of the reference runs
    """
    at = measures[reference]
    scale = np.maximum(1.4826 * (at - at.median()).abs().median(), pd.Series(FLOORS)[measures.columns])
    return ((measures - at.median()) / scale).clip(*CLIP)


def run_scores(z):
    """The mean of the three worst z scores of each run (N, M); NaN where a measure is missing."""
    return np.sort(z.to_numpy(), axis=1)[:, -WORST:].mean(1)


def seed_interval(scores, level=0.9):
    """Percentile bootstrap over seeds of a mean: (low, high). NaN for fewer than two."""
    if len(scores) < 2:
        return np.nan, np.nan
    draws = np.random.default_rng(0).integers(len(scores), size=(RESAMPLES, len(scores)))
    return tuple(np.quantile(scores[draws].mean(1), ((1 - level) / 2, (1 + level) / 2)))


def cell_label(low, high, diverged, runs, ratio, p):
    """Low, High, Moderate or Undetermined.

    low, high: of the interval of S; diverged, runs: counts; ratio: of the seed SD to the reference's; p: of an F test that it is no larger
    An interval that straddles a cut-off is Undetermined: more seeds settle it, not rounding. So is a cell like the reference of which a
    run diverged.
    """
    if low > BAD or diverged / runs > FAILURES or (ratio > SPREAD and p < 0.05):
        return "Low"
    if high < GOOD and not diverged:
        return "High"
    return "Moderate" if low >= GOOD and high <= BAD else "Undetermined"


def label_cells(runs, reference, without=None):
    """A row a cell (the index): score, low, high, label; agree is NaN.

    runs: frame with cell, diverged, test_accuracy and the measures; reference: mask of the reference runs; without: a measure to leave out
    A diverged run has no score: it counts as a failure.
    """
    from scipy import stats

    core = [name for name in CUTS if name != without]
    sound = ~runs["diverged"]
    scores = pd.Series(run_scores(z_scores(runs[core], reference & sound)), runs.index)[sound].dropna()
    at = runs.loc[reference, "test_accuracy"].dropna()
    rows = {}
    for cell, group in runs.groupby("cell"):
        own = scores[scores.index.isin(group.index)].to_numpy()
        low, high = seed_interval(own)
        accuracy = group["test_accuracy"].dropna()
        ratio = accuracy.std() / at.std() if at.std() > 0 else np.nan
        p = stats.f.sf(ratio**2, len(accuracy) - 1, len(at) - 1)
        label = cell_label(low, high, int(group["diverged"].sum()), len(group), ratio, p)
        rows[cell] = {"score": own.mean() if len(own) else np.nan, "low": low, "high": high, "label": label, "agree": np.nan}
    return pd.DataFrame.from_dict(rows, orient="index")


def provisional_labels(runs):
    """As `label_cells`, from the runs' own labels: the most frequent, the worst of equally frequent ones. agree: how many runs have it."""
    rows = {}
    for cell, group in runs.groupby("cell"):
        counts = group["label"].value_counts().reindex(WORDS, fill_value=0)
        label = counts.idxmax()  # of equals the first
        rows[cell] = dict.fromkeys(("score", "low", "high"), np.nan) | {"label": label, "agree": counts[label]}
    return pd.DataFrame.from_dict(rows, orient="index")
