"""Checks of the interaction test without its assumptions: by permutation, on ranks, on all runs; and checks of its residuals."""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy

from fer_lightning.analysis.statistics.factorial import f_ratio, sums_of_squares, two_way

# Permuted tables at a time: 10,000 of a large study would not fit into memory.
CHUNK_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Residuals:
    """levene: p of equal spread in all cells; shapiro: p of normality; qq: correlation with normal quantiles. NaN if not defined."""

    levene: float
    shapiro: float
    qq: float


def permutation_p(y, resamples, rng):
    """p of the interaction in y (blocks, A, B), by permuting the residuals of the additive model within blocks (Freedman & Lane 1983).

    y has no NaN. The additive part is not added back: in complete blocks F of the interaction does not depend on it.
    """
    blocks, a, b = y.shape
    observed = f_ratio(*sums_of_squares(y), "ab")
    if not np.isfinite(observed):
        return np.nan
    grand = y.mean()
    additive = y.mean((0, 2), keepdims=True) + y.mean((0, 1), keepdims=True) + y.mean((1, 2), keepdims=True) - 2 * grand
    residual = (y - additive).reshape(blocks, a * b)
    larger, left = 0, resamples
    while left:
        size = min(left, max(CHUNK_NUMBERS // residual.size, 1))
        drawn = rng.permuted(np.broadcast_to(residual, (size, blocks, a * b)), axis=2)
        larger += int((f_ratio(*sums_of_squares(drawn.reshape(size, blocks, a, b)), "ab") >= observed * (1 - 1e-9)).sum())
        left -= size
    return (larger + 1) / (resamples + 1)


def aligned_ranks(y):
    """(F, p) of the interaction in y (blocks, A, B) by the aligned rank transform (Wobbrock et al. 2011).

    From each value its cell's mean is subtracted and the estimated interaction added; then all values are ranked, ties sharing a rank.
    """
    cells = y.mean(0)
    interaction = cells - cells.mean(1, keepdims=True) - cells.mean(0, keepdims=True) + cells.mean()
    # Rounded as in ARTool, so that equal values are ties despite rounding errors.
    ranks = scipy.stats.rankdata(np.round(y - cells + interaction, 12)).reshape(y.shape)
    table = two_way(ranks)
    return float(table.f["ab"]), float(table.p["ab"])


def residual_checks(y):
    """The Residuals of `two_way` on y (blocks, A, B)."""
    residual = y - y.mean(0) - y.mean((1, 2), keepdims=True) + y.mean()
    if len(y) < 2 or np.ptp(residual) < 1e-12:
        return Residuals(np.nan, np.nan, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapiro's p is approximate beyond 5,000 values
        levene = scipy.stats.levene(*residual.reshape(len(y), -1).T).pvalue if len(y) > 2 else np.nan
        _, (_, _, qq) = scipy.stats.probplot(residual.ravel())
        return Residuals(float(levene), float(scipy.stats.shapiro(residual.ravel()).pvalue), float(qq))


def mixed_model(table, a, b):
    """(F, p) of the interaction in a REML model with a random block, on all runs, complete blocks or not.

    table: (blocks, a * b) with NaN for missing runs. (NaN, NaN) if a cell is empty, blocks are too few or the fit fails.
    F is Wald's chi-squared over its degrees of freedom, on the residual degrees of freedom of cells and blocks: with complete blocks the F
    of `two_way`, unless the blocks vary less than the residual alone would make them vary.
    """
    present = ~np.isnan(table)
    cells = np.broadcast_to(np.arange(a * b), table.shape)[present]
    groups = np.broadcast_to(np.arange(len(table))[:, None], table.shape)[present]
    values = table[present]
    df, left = (a - 1) * (b - 1), len(values) - a * b - present.any(1).sum() + 1
    if not present.any(0).all() or left < 1 or np.ptp(values) == 0:
        return np.nan, np.nan
    from statsmodels.regression.mixed_linear_model import MixedLM

    # Dummies of a, of b, and their products; scores in units of their standard deviation, so that the optimizer converges.
    rows, columns = np.eye(a)[cells // b][:, 1:], np.eye(b)[cells % b][:, 1:]
    products = (rows[:, :, None] * columns[:, None, :]).reshape(len(cells), df)
    design = np.column_stack([np.ones(len(cells)), rows, columns, products])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a block variance of zero lies on the boundary, and is a valid result
        try:
            fit = MixedLM((values - values.mean()) / values.std(), design, groups=groups).fit(reml=True)
            effects = np.asarray(fit.fe_params)[-df:]
            wald = effects @ np.linalg.solve(np.asarray(fit.cov_params())[: design.shape[1], : design.shape[1]][-df:, -df:], effects)
        except np.linalg.LinAlgError:
            return np.nan, np.nan
    return float(wald / df), float(scipy.stats.f.sf(wald / df, df, left))
