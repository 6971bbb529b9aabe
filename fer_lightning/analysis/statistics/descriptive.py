"""The scores of one cell: centre, spread and interval, and how much of a score is noise."""

import numpy as np
import scipy

LEVEL = 0.95


def describe(values, images=None, share=True):
    """{n, mean, sd, iqm, min, max, low, high} of the scores of one cell, one score a run; NaN for what is not known.

    iqm: interquartile mean (Agarwal et al. 2021); low, high: 95 % interval of the mean, see `cell_interval`
    images: of how many images each score is a share, if known; share: whether it is a share at all
    """
    values = np.asarray(values)[~np.isnan(values)]
    n = len(values)
    if not n:
        return {"n": 0} | dict.fromkeys(("mean", "sd", "iqm", "min", "max", "low", "high"), np.nan)
    low, high = cell_interval(values, images, share)
    middle = {"mean": values.mean(), "sd": values.std(ddof=1) if n > 1 else np.nan, "iqm": scipy.stats.trim_mean(values, 0.25)}
    return {"n": n} | middle | {"min": values.min(), "max": values.max(), "low": low, "high": high}


def cell_interval(values, images=None, share=True):
    """95 % interval (low, high) of the mean over runs, see `classical_interval`; NaN if there is none."""
    known = images is not None and np.isfinite(images)
    return classical_interval(list(values), int(images) if known else None, share) or (np.nan, np.nan)


def classical_interval(values, images, share=True):
    """95 % interval (low, high) of the mean of a score: Student's over the runs; for one run Wilson's over its images. Fractions.

    values: one a run; images: of how many images each is a share; share: whether it is one, and so lies between 0
    and 1. None for runs that score the same, whose spread is not known, and for
    one run with an unknown number of images.
    """
    n, mean = len(values), sum(values) / len(values)
    if n > 1:
        error = scipy.stats.sem(values)
        if not error > 1e-12:
            return None
        low, high = map(float, scipy.stats.t.interval(LEVEL, n - 1, loc=mean, scale=error))
        return (max(low, 0.0), min(high, 1.0)) if share else (low, high)
    return wilson_interval(round(mean * images), images) if images else None


def wilson_interval(count, n):
    """Wilson's (1927) 95 % interval (low, high) of a share: count among n. Here because SciPy's takes no half counts, as ties need."""
    z = scipy.stats.norm.isf((1 - LEVEL) / 2)
    centre = count + z * z / 2
    reach = z * np.sqrt(count * (n - count) / n + z * z / 4)
    return max(0.0, float((centre - reach) / (n + z * z))), min(1.0, float((centre + reach) / (n + z * z)))


def expected_maximum(mean, sd, n):
    """The expected maximum of n draws from a normal distribution."""
    if not n > 1 or not sd > 0:
        return mean
    best, _ = scipy.integrate.quad(lambda x: n * x * np.exp(-x * x / 2) * scipy.special.ndtr(x) ** (n - 1), -np.inf, np.inf)
    return mean + best * sd / np.sqrt(2 * np.pi)


def logit(accuracy, images):
    """The empirical logit log((k + 1/2) / (n - k + 1/2)) of k right answers among n images; finite at 0 and 1."""
    k = np.asarray(accuracy) * images
    return np.log((k + 0.5) / (images - k + 0.5))


def binomial_error(accuracy, images):
    """Standard error of the accuracy of one network that comes from the finite number of images."""
    return np.sqrt(accuracy * (1 - accuracy) / images)


def least_difference(discordant, images, power=0.5):
    """The smallest difference of two networks' accuracies that McNemar's test finds at 5 % with that power; 0.5: just significant.

    discordant: the share of images that exactly one of the two gets right. Normal approximation; never more than all images.
    """
    return float(np.minimum((scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(power)) * np.sqrt(discordant / images), 1))
