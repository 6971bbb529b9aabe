"""How much a study with its seeds can see, and how many seeds would show what it looks for."""

import numpy as np

TARGET = 0.8

# More seeds than anyone runs: beyond, nothing is promised.
MOST_SEEDS = 10_000


def interaction_power(gain, sd, seeds, a, b, alpha=0.05):
    """Power of the interaction's F test in complete blocks of a x b cells, where one level of b gains `gain` more than the others do.

    sd: of the residual, in the unit of gain.
    """
    noncentrality = seeds * (gain / sd) ** 2 * (1 - 1 / a) * (1 - 1 / b)
    return f_power(noncentrality, (a - 1) * (b - 1), (a * b - 1) * (seeds - 1), alpha)


def main_effect_power(difference, sd, seeds, a, b, alpha=0.05):
    """Power of the F test of the first factor, one of whose a levels differs from the others by `difference`."""
    noncentrality = seeds * b * (difference / sd) ** 2 * (1 - 1 / a)
    return f_power(noncentrality, a - 1, (a * b - 1) * (seeds - 1), alpha)


def pair_power(difference, sd, seeds, alpha=0.05):
    """Power of the t test, paired by seed, of two cells. sd: of the residual of one run, so that of a difference is sqrt(2) times it."""
    return f_power(seeds * (difference / sd) ** 2 / 2, 1, seeds - 1, alpha)


def contrast_power(difference, sd, seeds, alpha=0.05):
    """Power of the t test, paired by seed, of a difference of two gains: four cells, so its standard deviation is twice a run's."""
    return f_power(seeds * (difference / sd) ** 2 / 4, 1, seeds - 1, alpha)


def f_power(noncentrality, df, df_residual, alpha):
    """Power of an F test; of a two-sided t test with df = 1."""
    from scipy import stats

    return float(stats.ncf.sf(stats.f.isf(alpha, df, df_residual), df, df_residual, noncentrality))


def equivalence_power(margin, sd, seeds, contrasts, alpha=0.05):
    """Power, at the least, to show every one of `contrasts` interaction contrasts within +-margin where none of them is there.

    sd: of the residual of one run; a contrast of four cells has twice that. Bonferroni's bound over the contrasts.
    """
    from scipy import stats

    error = 2 * sd / np.sqrt(seeds)
    each = 2 * stats.t.cdf(margin / error - stats.t.isf(alpha, seeds - 1), seeds - 1) - 1
    return float(max(1 - contrasts * (1 - max(each, 0)), 0))


def seeds_needed(power, effect):
    """The fewest seeds from which on power(effect, seeds) is 80 %, None where MOST_SEEDS do not suffice. Power grows with seeds."""
    low, high = 1, 2
    while power(effect, high) < TARGET:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle) >= TARGET else (middle, high)
    return high


def detectable(power, sd, seeds):
    """The smallest effect for which power(effect, seeds) is 80 %, in the unit of sd; NaN beyond a thousand standard deviations."""
    from scipy import optimize

    if not power(1000 * sd, seeds) >= TARGET:
        return np.nan
    return optimize.brentq(lambda effect: power(effect, seeds) - TARGET, 0, 1000 * sd, xtol=1e-6 * sd)
