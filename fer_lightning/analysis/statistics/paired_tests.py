"""Contrasts tested over blocks and images: t tests paired by block, equivalence, Holm's adjustment, and intervals that agree with it."""

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.statistics.contrasts import per_block
from fer_lightning.analysis.statistics.two_way_variance import two_way_variance


def contrast_tests(table, contrasts, analysis, right=None):
    """One row a contrast: name, and the columns of `paired_tests`; intervals end where the contrast can go no further.

    table: (blocks, cells), scores as fractions
    right: (blocks, cells, images), whether each run got each image right, False if there is no run, if all were scored on the same images:
           tests and intervals then hold for other images too; else for other blocks alone
    """
    values = per_block(table, contrasts)
    floors = [np.nan if right is None else _floor(right, c.weights, ~np.isnan(v)) for c, v in zip(contrasts, values.T)]
    frame = paired_tests(values, analysis.alpha, analysis.sesoi, floors)
    frame.insert(0, "name", [contrast.name for contrast in contrasts])
    most = np.array([contrast.weights.clip(min=0).sum() for contrast in contrasts])
    return frame.assign(low=np.maximum(frame["low"], -most), high=np.minimum(frame["high"], most))


def _floor(right, weights, blocks):
    """The variance that the images give a contrast, however many blocks there are; NaN with fewer than two blocks."""
    if blocks.sum() < 2 or right.shape[2] < 2:
        return np.nan
    used = weights != 0
    return two_way_variance(np.einsum("bcn,c->bn", right[np.ix_(blocks, used)], weights[used].astype(np.float32)))[1]


def paired_tests(values, alpha, sesoi, floors=None):
    """One row for each column of values (blocks, contrasts): t test paired by block, and two one-sided t tests (Schuirmann 1987).

    floors: (contrasts,), the variance of each mean that the images add to that over blocks (see `two_way_variance`); NaN, None: not known

    Columns: n blocks, estimate, sd over blocks, floor: square root of the images' variance, error: standard error, p, p_holm (over the
    columns), level of the interval, low, high: Student's interval at that level, equivalence_p: of |difference| < sesoi. NaN if the blocks
    do not differ or are fewer than two.
    """
    rows = []
    for column in values.T:
        d = column[~np.isnan(column)]
        rows.append((len(d), d.mean() if len(d) else np.nan, d.std(ddof=1) if len(d) > 1 else np.nan))
    frame = pd.DataFrame(rows, columns=["n", "estimate", "sd"])
    frame["floor"] = np.sqrt(np.maximum(np.nan if floors is None else np.asarray(floors, float), 0))
    spread = frame["sd"].where(frame["sd"] > 1e-12)
    frame["error"] = np.sqrt(spread**2 / frame["n"] + frame["floor"].fillna(0) ** 2)
    df = frame["n"].clip(lower=2) - 1
    frame["p"], frame["equivalence_p"] = t_tests(frame["estimate"], frame["error"], df, sesoi)
    frame["p_holm"] = holm(frame["p"])
    frame["level"] = 1 - interval_alphas(frame["p"], alpha)
    reach = scipy.stats.t.isf((1 - frame["level"]) / 2, df) * frame["error"]
    return frame.assign(low=frame["estimate"] - reach, high=frame["estimate"] + reach)


def mean_floor(frame):
    """The standard error that the images alone give the contrasts of a frame of `paired_tests`, on average; 0 if it is not known."""
    return float(np.nan_to_num(np.sqrt(frame["floor"].pow(2).mean())))


def t_tests(estimate, error, df, sesoi):
    """(p of no difference, p of a difference of at least sesoi) of estimates with their standard errors; arrays of any shape."""
    t = scipy.stats.t(df)
    return 2 * t.sf(np.abs(estimate / error)), np.maximum(t.sf((estimate + sesoi) / error), t.cdf((estimate - sesoi) / error))


def holm(p):
    """p values (..., tests) adjusted by Holm (1979) along the last axis; NaN stays NaN and is not counted.

    Not from statsmodels, which collects garbage at every call: 0.2 s in a process that has loaded torch.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, axis=-1, kind="stable")  # NaN last
    raised = np.maximum.accumulate(np.take_along_axis(p * holm_divisors(p), order, -1), -1).clip(max=1)
    return np.take_along_axis(raised, np.argsort(order, axis=-1, kind="stable"), -1)


def holm_divisors(p):
    """By what Holm divides alpha for each p value (..., tests): the number of tests for the smallest, one for the largest."""
    p = np.asarray(p, float)
    tested = (~np.isnan(p)).sum(-1, keepdims=True)
    rank = np.argsort(np.argsort(p, axis=-1, kind="stable"), axis=-1, kind="stable")  # NaN last
    return np.maximum(tested - rank, 1)


def interval_alphas(p, alpha):
    """1 - the level of each interval, such that it excludes 0 exactly if Holm's test rejects: (tests,) for p values (tests,).

    Bonferroni's alpha / m, which makes the intervals simultaneous; where only Holm's later steps reject, the alpha of that step.
    """
    divisors = holm_divisors(p)
    later = (holm(p) < alpha) & (np.asarray(p) * divisors.max(initial=1) >= alpha)
    return alpha / np.where(later, divisors, divisors.max(initial=1))
