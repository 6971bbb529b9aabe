"""Many cells compared with each other over the blocks that repeat them: Friedman, Nemenyi, all pairs."""

from dataclasses import dataclass

import numpy as np
import scipy

from fer_lightning.analysis.statistics.paired_tests import holm


@dataclass(frozen=True)
class Ranks:
    """mean: (cells,) average rank over blocks, 1 the best; chi2, p: Friedman's test; distance: Nemenyi's critical difference of ranks"""

    mean: np.ndarray
    chi2: float
    p: float
    distance: float


def friedman(y, alpha):
    """The Ranks of y (blocks, cells) without NaN, higher is better (Demsar 2006). No test for fewer than three cells or two blocks."""
    blocks, cells = y.shape
    mean = scipy.stats.rankdata(-y, axis=1).mean(0) if blocks else np.full(cells, np.nan)
    if cells < 3 or blocks < 2 or not np.ptp(y, axis=1).any():
        return Ranks(mean, np.nan, np.nan, np.nan)
    chi2, p = scipy.stats.friedmanchisquare(*y.T)
    return Ranks(mean, float(chi2), float(p), nemenyi_distance(cells, blocks, alpha))


def nemenyi_distance(cells, blocks, alpha=0.05):
    """The critical difference of the average ranks of two cells (Nemenyi 1963)."""
    return scipy.stats.studentized_range.isf(alpha, cells, np.inf) / np.sqrt(2) * np.sqrt(cells * (cells + 1) / (6 * blocks))


def pairwise(table):
    """t tests paired by block of every two cells, Holm-adjusted over all pairs.

    table: (blocks, cells), NaN if a run is missing; a pair uses the blocks that both cells have. Returns (difference, p_holm),
    (cells, cells) each, difference[i, j] = i - j; NaN if the difference is the same in all blocks or fewer than two are shared.
    """
    table = table[(~np.isnan(table)).sum(1) > 1]
    gap = table[:, :, None] - table[:, None, :]
    n = (~np.isnan(gap)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(gap, 0) / n
        sd = np.sqrt(np.nansum(np.square(gap - mean), 0) / (n - 1))
        p = 2 * scipy.stats.t.sf(np.abs(mean) / np.where(sd > 1e-12, sd, np.nan) * np.sqrt(n), np.maximum(n - 1, 1))
    p[n < 2] = np.nan
    i, j = np.triu_indices(table.shape[1], 1)
    adjusted = np.full(p.shape, np.nan)
    adjusted[i, j] = adjusted[j, i] = holm(p[i, j])
    return mean, adjusted
