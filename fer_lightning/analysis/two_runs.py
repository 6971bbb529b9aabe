"""Two trained networks on the same images: whether they differ, by how much, and where.

Tests and intervals hold for these two networks and for other images like these, not for other trainings of the same methods.
They follow Fagerland, Lydersen, Laake (2014), Recommended tests and confidence intervals for paired binomial proportions.
"""

from math import sqrt

import numpy as np
import pandas as pd
from scipy import optimize, stats

from fer_lightning.analysis.statistics.descriptive import least_difference
from fer_lightning.runs.predictions import NO_CLASS, class_name

# Two-sided tests at 5 % and intervals of 95 %.
Z = stats.norm.ppf(0.975)
RESAMPLES = 10_000

KINDS = ("right -> wrong", "wrong -> right", "wrong -> other wrong")


def mcnemar(only_first, only_second):
    """Two-sided mid-p value of McNemar's exact test, from the two counts of images that only one network has right."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    return float(min(1.0, 2 * stats.binom.cdf(fewer, n, 0.5) - stats.binom.pmf(fewer, n, 0.5)))


def score_interval(only_first, only_second, n):
    """Tango's (1998) 95 % score interval for the difference second - first of two paired shares of n images. (low, high), fractions.

    It inverts McNemar's test: it contains exactly the differences that a score test does not reject.
    """
    gap = only_second - only_first

    def distance(difference, sign):
        # The share of images that only the first has right, most likely under this difference: the root of a quadratic.
        b = (2 * n - gap) * difference - only_first - only_second
        c = -only_first * difference * (1 - difference)
        share = (sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        return gap - n * difference - sign * Z * sqrt(max(0.0, n * (2 * share + difference * (1 - difference))))

    # With no discordant image the estimate itself is a root of both sides, and the wrong one.
    low, high = gap / n - 1e-9, gap / n + 1e-9
    return (
        -1.0 if low <= -1 else optimize.brentq(distance, -1, low, args=(1,)),
        1.0 if high >= 1 else optimize.brentq(distance, high, 1, args=(-1,)),
    )


def bootstrap(outcomes, statistic):
    """95 % percentile interval of a statistic over resampled images. (low, high)

    outcomes:  (N, ...) what is known of each image
    statistic: from the distinct outcomes (K, ...) and how often each was drawn (R, K) to (R,)

    Images with the same outcome are exchangeable, so the counts of the outcomes are drawn rather than images.
    """
    distinct, counts = np.unique(outcomes, axis=0, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(outcomes), counts / len(outcomes), size=RESAMPLES)
    return tuple(float(q) for q in np.quantile(statistic(distinct, drawn), [0.025, 0.975]))


def mean_interval(values):
    """Bootstrap interval of a mean over images; values: (N,)."""
    return bootstrap(values, lambda distinct, drawn: drawn @ distinct / len(values))


def macro_f1(labels, predicted, counts):
    """Mean F1 of the classes that are present or predicted, fractions. labels, predicted: (K,); counts: (..., K). Returns (...)."""
    hits, either = [], []
    for c in np.setdiff1d(np.union1d(labels, predicted), NO_CLASS):
        hits.append(counts @ ((labels == c) & (predicted == c)))
        either.append(counts @ ((labels == c).astype(int) + (predicted == c)))
    hits, either = np.array(hits), np.array(either)
    return np.sum(2 * hits / np.maximum(either, 1), axis=0) / np.sum(either > 0, axis=0)


def judge(labels, first, second):
    """What can be said of two networks from their predicted classes (N,) on the same images. Fractions; differences are second - first."""
    n = len(labels)
    right = first == labels, second == labels
    only_first, only_second = int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))
    discordant = (only_first + only_second) / n
    low, high = score_interval(only_first, only_second, n)

    def f1_gap(distinct, drawn):
        return macro_f1(distinct[:, 0], distinct[:, 2], drawn) - macro_f1(distinct[:, 0], distinct[:, 1], drawn)

    f1 = [float(macro_f1(labels, predicted, np.ones(n, int))) for predicted in (first, second)]
    f1_low, f1_high = bootstrap(np.stack([labels, first, second], axis=1), f1_gap)
    return {
        "n": n,
        "accuracy": {
            "a": float(right[0].mean()),
            "b": float(right[1].mean()),
            "difference": (only_second - only_first) / n,
            "low": low,
            "high": high,
            "only_a": only_first,
            "only_b": only_second,
            "discordant": discordant,
            "p": mcnemar(only_first, only_second),
            "significant_from": least_difference(discordant, n),
            "power_80_from": least_difference(discordant, n, power=0.8),
        },
        "macro_f1": {"a": f1[0], "b": f1[1], "difference": f1[1] - f1[0], "low": f1_low, "high": f1_high},
        "churn": float(np.mean(first != second)),
    }


def kinds(labels, first, second):
    """(N,) one of KINDS for each image, None if both networks predict the same class."""
    right, wrong, other = KINDS
    choices = [first == second, first == labels, second == labels]
    return np.select(choices, np.array([None, right, wrong], dtype=object), default=other)


def changes_by_class(labels, first, second, names):
    """A row a class: its images, how many changed in which way, and the net change; the last row is their sum."""
    kind = kinds(labels, first, second)
    table = pd.DataFrame({"class": names, "pictures": [int(np.sum(labels == c)) for c in range(len(names))]})
    for name in KINDS:
        table[name] = [int(np.sum((labels == c) & (kind == name))) for c in range(len(names))]
    table["net"] = table[KINDS[1]] - table[KINDS[0]]
    table.loc[len(table)] = ["all", *table.drop(columns="class").sum()]
    return table


def flows(labels, first, second, names):
    """How predictions changed: a row for every label and pair of predicted classes, the most frequent first."""
    moved = first != second
    table = pd.DataFrame({"label": labels[moved], "a": first[moved], "b": second[moved]})
    table = table.groupby(["label", "a", "b"]).size().rename("pictures").reset_index()
    table = table.sort_values("pictures", ascending=False, kind="stable", ignore_index=True)
    for column in ("label", "a", "b"):
        table[column] = [class_name(c, names) for c in table[column]]
    return table
