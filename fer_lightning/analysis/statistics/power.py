"""The power of each test over seeds, the seeds that an effect needs, and the smallest effect that some seeds find.

Effects, sd, the standard deviation of the residual of one run, and floor, the standard error that the images alone give a difference, are
in the same unit. A power is a function of (effect, seeds). Tests of differences hold for other images, F tests for these only.
"""

import numpy as np
import scipy

TARGET = 0.8

# More seeds than anyone runs; of more a report says only that it is more.
MOST_SEEDS = 10_000

# As good as infinitely many.
ENDLESS = 10**13


def interaction_power(gain, seeds, *, sd, a, b, alpha=0.05):
    """Power of the F test of the interaction in complete blocks of a x b cells, if one level of b gains `gain` more than the others."""
    noncentrality = seeds * (gain / sd) ** 2 * (1 - 1 / a) * (1 - 1 / b)
    return f_power(noncentrality, (a - 1) * (b - 1), (a * b - 1) * (seeds - 1), alpha)


def main_effect_power(difference, seeds, *, sd, a, b, alpha=0.05):
    """Power of the F test of the first factor, if one of its a levels differs from the others by `difference`."""
    noncentrality = seeds * b * (difference / sd) ** 2 * (1 - 1 / a)
    return f_power(noncentrality, a - 1, (a * b - 1) * (seeds - 1), alpha)


def standard_error(seeds, *, sd, cells, floor=0.0):
    """Of a difference of two cells, or of two gains (four cells): its sd over seeds is sqrt(cells) sd."""
    return np.sqrt(cells * sd**2 / seeds + floor**2)


def paired_power(difference, seeds, *, sd, cells, floor=0.0, alpha=0.05):
    """Power of the t test, paired by seed, of a difference of two cells, or of two gains (four cells)."""
    return f_power((difference / standard_error(seeds, sd=sd, cells=cells, floor=floor)) ** 2, 1, seeds - 1, alpha)


def f_power(noncentrality, df, df_residual, alpha):
    """Power of an F test; with df = 1 of a two-sided t test."""
    return float(scipy.stats.ncf.sf(scipy.stats.f.isf(alpha, df, df_residual), df, df_residual, noncentrality))


def equivalence_power(margin, seeds, *, sd, contrasts, floor=0.0, alpha=0.05):
    """A lower bound (Bonferroni) of the power to show that all of `contrasts` differences of gains lie within +-margin, if all are 0."""
    error = standard_error(seeds, sd=sd, cells=4, floor=floor)
    each = 2 * scipy.stats.t.cdf(margin / error - scipy.stats.t.isf(alpha, seeds - 1), seeds - 1) - 1
    return float(max(1 - contrasts * (1 - max(each, 0)), 0))


def seeds_needed(power, effect):
    """The smallest number of seeds for which power(effect, seeds) is 80 %; None if MOST_SEEDS are too few, infinity if no number is enough.

    Power grows with seeds.
    """
    if power(effect, ENDLESS) < TARGET:
        return np.inf
    low, high = 1, 2
    while power(effect, high) < TARGET:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle) >= TARGET else (middle, high)
    return high


def smallest_effect(power, sd, seeds):
    """The smallest effect for which power(effect, seeds) is 80 %; NaN if it is beyond a thousand standard deviations."""
    if not power(1000 * sd, seeds) >= TARGET:
        return np.nan
    return scipy.optimize.brentq(lambda effect: power(effect, seeds) - TARGET, 0, 1000 * sd, xtol=1e-6 * sd)
