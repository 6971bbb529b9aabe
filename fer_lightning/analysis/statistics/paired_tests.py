"""Contrasts tested over blocks: t tests paired by block, equivalence, Holm's adjustment, intervals over blocks and images."""

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.statistics.contrasts import per_block
from fer_lightning.analysis.statistics.two_way_bootstrap import two_way_interval


def contrast_tests(table, contrasts, analysis, images=None):
    """One row a contrast: name, and the columns of `paired_tests`.

    table: (blocks, cells), scores as fractions
    images: `ImageDraws` of the same runs, if all were scored on the same images: low and high are then those of the two-way bootstrap,
            which hold for other images too; else they are Student's over the blocks alone
    """
    values = per_block(table, contrasts)
    frame = paired_tests(values, analysis.alpha, analysis.sesoi)
    frame.insert(0, "name", [contrast.name for contrast in contrasts])
    for i, contrast in enumerate(contrasts):
        blocks = ~np.isnan(values[:, i])
        if images is None or blocks.sum() < 2:
            continue
        used = contrast.weights != 0
        weights = contrast.weights[used].astype(np.float32)
        right, drawn = (np.einsum("bcn,c->bn", runs[np.ix_(blocks, used)], weights) for runs in (images.right, images.drawn))
        bounds = two_way_interval(right, drawn, frame.loc[i, "level"], np.random.default_rng(0))
        frame.loc[i, ["low", "high"]] = frame.loc[i, "estimate"] + np.array(bounds)
    return frame


def paired_tests(values, alpha, sesoi):
    """One row for each column of values (blocks, contrasts): t test paired by block, and two one-sided t tests (Schuirmann 1987).

    Columns: n blocks, estimate, sd, p, p_holm (over the columns), level: of the interval that goes with Holm's p, 1 - alpha / (m - rank),
    low, high: Student's interval at that level, equivalence_p: of |difference| < sesoi. NaN if the blocks do not differ or are fewer than
    two.
    """
    rows = []
    for column in values.T:
        d = column[~np.isnan(column)]
        n, mean, sd = len(d), d.mean() if len(d) else np.nan, d.std(ddof=1) if len(d) > 1 else np.nan
        error = sd / np.sqrt(n) if sd > 1e-12 else np.nan
        t = scipy.stats.t(max(n - 1, 1))
        p, equivalence_p = 2 * t.sf(abs(mean / error)), np.maximum(t.sf((mean + sesoi) / error), t.cdf((mean - sesoi) / error))
        rows.append((n, mean, sd, error, p, equivalence_p))
    frame = pd.DataFrame(rows, columns=["n", "estimate", "sd", "error", "p", "equivalence_p"])
    frame["p_holm"] = holm(frame["p"])
    frame["level"] = 1 - alpha / holm_divisors(frame["p"])
    reach = scipy.stats.t.isf((1 - frame["level"]) / 2, frame["n"].clip(lower=2) - 1) * frame.pop("error")
    return frame.assign(low=frame["estimate"] - reach, high=frame["estimate"] + reach)


def holm(p):
    """p values adjusted by Holm (1979); NaN stays NaN and is not counted.

    Not from statsmodels, which collects garbage at every call: 0.2 s in a process that has loaded torch.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")  # NaN last
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate((p * holm_divisors(p))[order]).clip(max=1)
    return adjusted


def holm_divisors(p):
    """By what Holm divides alpha for each p value: the number of tests for the smallest, one for the largest."""
    p = np.asarray(p, float)
    tested = int((~np.isnan(p)).sum())
    rank = np.argsort(np.argsort(p, kind="stable"), kind="stable")  # NaN last
    return np.maximum(tested - rank, 1)
