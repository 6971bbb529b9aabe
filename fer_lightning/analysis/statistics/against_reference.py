"""Each cell compared with the reference cell: paired tests, the share of seeds won, and almost stochastic order."""

import warnings

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.contrasts import against, per_block, reference_cell
from fer_lightning.analysis.statistics.descriptive import wilson_interval
from fer_lightning.analysis.statistics.paired_tests import contrast_tests
from fer_lightning.analysis.wording import ADJUSTED, contrast_columns, number, p_value, points

# Bootstrap draws of almost stochastic order (Dror et al. 2019).
ASO_RESAMPLES = 1000


def reference_finding(design, scores, analysis, right):
    """(Finding, frame) of every cell against the reference cell.

    scores: {outcome, clean: (blocks, cells)}; right: see `contrast_tests`. The frame is that of `contrast_tests` with wilcoxon, wins,
    wins_low, wins_high and epsilon.
    """
    table = scores["outcome"]
    reference = reference_cell(design, analysis.reference)
    others = [cell for cell in design.cells if cell != reference]
    contrasts = against(design, reference, others)
    frame = contrast_tests(table, contrasts, analysis, right)
    base = table[:, design.cells.index(reference)]
    rng = np.random.default_rng(0)
    extra = [_dominance(table[:, design.cells.index(cell)], base, analysis.alpha / len(others), rng) for cell in others]
    frame = frame.join(pd.DataFrame(extra))
    shown = pd.DataFrame(
        {
            "cell": frame["name"],
            "seeds": frame["n"],
            **contrast_columns(frame, "difference (points)"),
            "on clean images": pd.DataFrame(per_block(scores["clean"], contrasts)).mean().map(points),
            "Wilcoxon p": frame["wilcoxon"].map(p_value),
            "share of seeds won": [_wins_text(*row) for row in frame[["wins", "wins_low", "wins_high"]].to_numpy()],
            "ASO epsilon": frame["epsilon"].map(number),
        }
    )
    text = [f"Each cell minus the reference cell {design.name(reference)}, paired by seed."]
    if frame["p"].notna().any():
        text.append(f"{ADJUSTED} Wilcoxon's test is a check without the assumption of normal scores, over seeds alone.")
    if frame["wins"].notna().any():
        text.append(
            "Share of seeds won: the share of seeds in which the cell scores higher than the reference, with Wilson's interval. The "
            "cell is better if the whole interval is above 0.50, and the difference is worth having if the interval reaches above 0.75 "
            "(Bouthillier et al. 2021). ASO epsilon, almost stochastic order: below 0.20 the cell's scores are higher than the "
            "reference's almost everywhere in their distribution (Ulmer et al. 2022)."
        )
    return Finding("Against the reference cell", tuple(text), shown), frame


def _dominance(a, b, alpha, rng):
    shared = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[shared], b[shared]
    wins, low, high = share_of_wins(a, b)
    epsilon = almost_stochastic_order(a, b, alpha=alpha, resamples=ASO_RESAMPLES, rng=rng)
    return {"wilcoxon": _wilcoxon(a - b), "wins": wins, "wins_low": low, "wins_high": high, "epsilon": epsilon}


def _wilcoxon(differences):
    if len(differences) < 2 or not differences.any():
        return np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with ties p is approximate
        return float(scipy.stats.wilcoxon(differences).pvalue)


def _wins_text(share, low, high):
    return f"{number(share)} ({number(low)} to {number(high)})" if not np.isnan(share) else ""


def share_of_wins(a, b):
    """(P(A > B), low, high): the share of blocks in which a beats b, ties counting half (Bouthillier et al. 2021). a, b: (blocks,)

    The interval is Wilson's, because the bootstrap's is a single point for five wins in five. NaN for fewer than two blocks.
    """
    if len(a) < 2:
        return np.nan, np.nan, np.nan
    wins = (a > b).sum() + (a == b).sum() / 2
    return wins / len(a), *wilson_interval(wins, len(a))


def violation_ratio(a, b):
    """How far a is from being stochastically larger than b: 0 if it is, 1 if b is, 1/2 if they are equal (del Barrio et al. 2018).

    a, b: (..., n) scores, equally many. Of the squared distance between their quantile functions, the share where that of b is above.
    """
    gap = np.sort(b, -1) - np.sort(a, -1)
    total = np.square(gap).sum(-1)
    return np.where(total > 0, np.square(np.maximum(gap, 0)).sum(-1) / np.where(total > 0, total, 1), 0.5)


def almost_stochastic_order(a, b, *, alpha, resamples, rng):
    """Upper bound, at level 1 - alpha, of `violation_ratio`; eps_min of Dror et al. 2019. Below 0.2 a is almost
    stochastically larger (Ulmer et al. 2022).

    a, b: (n,) scores. NaN for fewer than two runs.
    """
    n = len(a)
    if n < 2:
        return np.nan
    ratio = violation_ratio(a, b)
    drawn = violation_ratio(rng.choice(a, (resamples, n)), rng.choice(b, (resamples, n)))
    # sigma / sqrt(n m / (n + m)) with sigma^2 the variance of sqrt(n m / (n + m)) (drawn - ratio): the factors cancel.
    return float(np.clip(ratio + (drawn - ratio).std() * scipy.stats.norm.isf(alpha), 0, 1))
