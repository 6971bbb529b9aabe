"""How often, and how surely, one cell's runs beat another's."""

import numpy as np


def share_of_wins(a, b, level=0.95):
    """(P(A > B), low, high): in how many of the blocks a beats b, ties counting half (Bouthillier et al. 2021).

    Wilson's interval: a bootstrap of five wins in five would give the point 1. NaN for fewer than two blocks.
    """
    if len(a) < 2:
        return np.nan, np.nan, np.nan
    from statsmodels.stats.proportion import proportion_confint

    wins = (a > b).sum() + (a == b).sum() / 2
    low, high = proportion_confint(wins, len(a), 1 - level, method="wilson")
    return wins / len(a), low, high


def violation_ratio(a, b):
    """How far a is from being stochastically larger than b, 0: it is, 1: b is (del Barrio et al. 2018).

    a, b: (..., n) scores, as many of each. The share of the squared distance of their quantile functions that lies where b's is above.
    1/2 where they are the same.
    """
    gap = np.sort(b, -1) - np.sort(a, -1)
    total = np.square(gap).sum(-1)
    return np.where(total > 0, np.square(np.maximum(gap, 0)).sum(-1) / np.where(total > 0, total, 1), 0.5)


def almost_stochastic_order(a, b, alpha, resamples, rng):
    """eps_min: upper bound, at level 1 - alpha, of `violation_ratio`; a is almost stochastically larger below 0.2 (Dror et al. 2019).

    NaN for fewer than two runs.
    """
    from scipy import stats

    n = len(a)
    if n < 2:
        return np.nan
    ratio = violation_ratio(a, b)
    drawn = violation_ratio(rng.choice(a, (resamples, n)), rng.choice(b, (resamples, n)))
    # sigma / sqrt(n m / (n + m)) with sigma^2 the variance of sqrt(n m / (n + m)) (drawn - ratio): the factors cancel.
    return float(np.clip(ratio + (drawn - ratio).std() * stats.norm.isf(alpha), 0, 1))
