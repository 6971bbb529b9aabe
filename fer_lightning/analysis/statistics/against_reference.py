"""Each cell beside the reference cell, one comparison at a time."""

import warnings

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.contrasts import against, reference_cell
from fer_lightning.analysis.statistics.dominance import almost_stochastic_order, share_of_wins
from fer_lightning.analysis.statistics.paired_tests import compare
from fer_lightning.analysis.wording import number, p_value, points, points_interval

# Of the bootstrap of almost stochastic order (Dror et al. 2019).
ASO_RESAMPLES = 1000


def reference_finding(design, table, analysis, pictures):
    """(Finding, frame of `compare` with wilcoxon, wins, wins_low, wins_high and epsilon) of every cell against the reference cell."""
    reference = reference_cell(design, analysis.reference)
    others = [cell for cell in design.cells if cell != reference]
    frame = compare(table, against(design, reference, others), analysis, pictures)
    base = table[:, design.cells.index(reference)]
    rng = np.random.default_rng(0)
    extra = [_dominance(table[:, design.cells.index(cell)], base, analysis.alpha / len(others), rng) for cell in others]
    frame = frame.join(pd.DataFrame(extra))
    shown = pd.DataFrame(
        {
            "cell": frame["name"],
            "seeds": frame["n"],
            "difference (points)": frame["estimate"].map(points),
            "interval": [points_interval(*bounds) for bounds in frame[["low", "high"]].to_numpy()],
            "p (Holm)": frame["p_holm"].map(p_value),
            "Wilcoxon p": frame["wilcoxon"].map(p_value),
            "share of wins": [_wins(*row) for row in frame[["wins", "wins_low", "wins_high"]].to_numpy()],
            "ASO epsilon": frame["epsilon"].map(number),
        }
    )
    text = (
        f"Against {design.name(reference)}, paired by seed; interval and p are Holm-adjusted over the rows, Wilcoxon's test is a check.",
        "Share of wins: in how many seeds the cell scores higher, with Wilson's interval; it means something above 0.75 with a lower end "
        "above 0.50. ASO epsilon: the cell is almost stochastically larger than the reference below 0.20.",
    )
    return Finding("Against the reference cell", text, shown), frame


def _dominance(a, b, alpha, rng):
    shared = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[shared], b[shared]
    wins, low, high = share_of_wins(a, b)
    epsilon = almost_stochastic_order(a, b, alpha, ASO_RESAMPLES, rng)
    return {"wilcoxon": _wilcoxon(a - b), "wins": wins, "wins_low": low, "wins_high": high, "epsilon": epsilon}


def _wilcoxon(differences):
    from scipy import stats

    if len(differences) < 2 or not differences.any():
        return np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ties make its p approximate
        return float(stats.wilcoxon(differences).pvalue)


def _wins(share, low, high):
    return f"{number(share)} ({number(low)} to {number(high)})" if not np.isnan(share) else ""
