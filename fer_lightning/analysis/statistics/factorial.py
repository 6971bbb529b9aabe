"""Analysis of variance of crossed factors in complete blocks. Leading axes are allowed, so thousands of tables are computed at once."""

from dataclasses import dataclass

import numpy as np
import scipy

# Sums of squares below this share of the total are rounding errors.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Anova:
    """The result of `two_way`, {source: value} each; the sources are a, b, ab, block and residual.

    ss: sums of squares; df: degrees of freedom; f, p, omega: F, its p value and partial omega squared, of a, b and ab
    sd_block, sd_residual: standard deviation between blocks and of the residual, in units of y
    """

    ss: dict
    df: dict
    f: dict
    p: dict
    omega: dict
    sd_block: np.ndarray
    sd_residual: np.ndarray


def sums_of_squares(y):
    """({source: sum of squares}, {source: degrees of freedom}) of y (..., blocks, A, B) without NaN."""
    blocks, a, b = y.shape[-3:]
    grand = y.mean((-3, -2, -1), keepdims=True)
    rows = y.mean((-3, -1), keepdims=True) - grand
    columns = y.mean((-3, -2), keepdims=True) - grand
    block = y.mean((-2, -1), keepdims=True) - grand
    cells = y.mean(-3, keepdims=True) - grand
    effects = {"a": rows, "b": columns, "ab": cells - rows - columns, "block": block, "residual": y - grand - cells - block}
    df = {"a": a - 1, "b": b - 1, "ab": (a - 1) * (b - 1), "block": blocks - 1, "residual": (a * b - 1) * (blocks - 1)}
    total = np.square(y).sum((-3, -2, -1))
    ss = {name: np.square(np.broadcast_to(effect, y.shape)).sum((-3, -2, -1)) for name, effect in effects.items()}
    return {name: np.where(value < ROUNDING * total, 0.0, value) for name, value in ss.items()}, df


def f_ratio(ss, df, source):
    """F of a source against the residual; NaN if the residual is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (ss[source] / (df[source] or np.nan)) / (ss["residual"] / (df["residual"] or np.nan))
    return np.where(ss["residual"] > 0, f, np.nan)


def two_way(y):
    """The Anova of y (..., blocks, A, B): y = mean + a + b + ab + block + residual, the blocks crossed with the cells.

    For one factor B = 1. The residual has (AB - 1)(blocks - 1) degrees of freedom: blocks are assumed not to interact with the factors.
    """
    ss, df = sums_of_squares(y)
    f = {source: f_ratio(ss, df, source) for source in ("a", "b", "ab")}
    p = {source: scipy.stats.f.sf(f[source], df[source] or np.nan, df["residual"] or np.nan) for source in f}
    n = np.prod(y.shape[-3:])
    omega = {source: np.maximum(df[source] * (f[source] - 1) / (df[source] * (f[source] - 1) + n), 0) for source in f}
    residual = ss["residual"] / (df["residual"] or np.nan)
    block = ss["block"] / (df["block"] or np.nan)
    cells = y.shape[-2] * y.shape[-1]
    return Anova(ss, df, f, p, omega, np.sqrt(np.maximum(block - residual, 0) / cells), np.sqrt(residual))


def bayes_factor(anova, observations):
    """BF01, how much better the data agree with no interaction than with one: exp((BIC_full - BIC_additive) / 2) (Wagenmakers 2007).

    BIC of the linear models with fixed blocks; observations: their number of rows. NaN if the full model leaves no residual.
    """
    full = anova.ss["residual"]
    additive = full + anova.ss["ab"]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bf = np.exp((anova.df["ab"] * np.log(observations) - observations * np.log(additive / full)) / 2)
    return np.where(full > 0, bf, np.nan)


def tukey_nonadditivity(y):
    """(F, df, p) of Tukey's (1949) test with one degree of freedom on a table (A, B) of one value a cell.

    It detects only interactions that are products of the two main effects. NaN if the table is too small (2 x 2) or exactly additive.
    """
    a = y.mean(1) - y.mean()
    b = y.mean(0) - y.mean()
    residual = y - y.mean() - a[:, None] - b
    df = (len(a) - 1) * (len(b) - 1) - 1
    weight = np.square(a).sum() * np.square(b).sum()
    rest = np.square(residual).sum()
    if df < 1 or weight == 0 or rest < ROUNDING * np.square(y).sum():
        return np.nan, df, np.nan
    product = (y * a[:, None] * b).sum() ** 2 / weight
    f = product / ((rest - product) / df) if rest > product else np.inf
    return f, df, scipy.stats.f.sf(f, 1, df)
