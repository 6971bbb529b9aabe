"""What the runs of a cell scored: centre, spread and interval; and how much of it is noise."""

import warnings

import numpy as np

LEVEL = 0.95

# A bootstrap of fewer runs is too narrow: its "95 %" of three normal runs hold the mean in 74 % of cases, of five in 82 %.
FEWEST_RESAMPLED = 10


def describe(values, images=None, resamples=10000):
    """{n, mean, sd, iqm, min, max, low, high} of one cell's scores, one a run; NaN where it has none.

    iqm: mean of the middle half (Agarwal et al. 2021). low, high: 95 % interval of the mean, see `interval`.
    images: how many pictures each score is a share of, where it is one.
    """
    from scipy import stats

    values = np.asarray(values)[~np.isnan(values)]
    n = len(values)
    if not n:
        return {"n": 0} | dict.fromkeys(("mean", "sd", "iqm", "min", "max", "low", "high"), np.nan)
    low, high = interval(values, images, resamples)
    middle = {"mean": values.mean(), "sd": values.std(ddof=1) if n > 1 else np.nan, "iqm": stats.trim_mean(values, 0.25)}
    return {"n": n} | middle | {"min": values.min(), "max": values.max(), "low": low, "high": high}


def interval(values, images=None, resamples=10000):
    """95 % interval of a mean over runs: BCa bootstrap of ten and more, Student's of fewer, Wilson's over the pictures of one.

    The bootstrap is drawn from a fixed seed, so a report does not change when it is made again. NaN where there is none.
    """
    from scipy import stats

    from fer_lightning.analysis import published

    if len(values) >= FEWEST_RESAMPLED and np.ptp(values) > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = stats.bootstrap((values,), np.mean, n_resamples=resamples, confidence_level=LEVEL, rng=np.random.default_rng(0))
        if np.isfinite(found.confidence_interval).all():
            return tuple(map(float, found.confidence_interval))
    known = images is not None and np.isfinite(images)
    return published.interval(list(values), int(images) if known else None, LEVEL) or (np.nan, np.nan)


def expected_maximum(mean, sd, n):
    """What the best of n draws from a normal distribution scores on average."""
    from scipy import integrate, special

    if not n > 1 or not sd > 0:
        return mean
    best, _ = integrate.quad(lambda x: n * x * np.exp(-x * x / 2) * special.ndtr(x) ** (n - 1), -np.inf, np.inf)
    return mean + best * sd / np.sqrt(2 * np.pi)


def logit(accuracy, images):
    """The empirical logit log((k + 1/2) / (n - k + 1/2)) of k right answers among n pictures; finite at 0 and 1."""
    k = np.asarray(accuracy) * images
    return np.log((k + 0.5) / (images - k + 0.5))


def binomial_error(accuracy, images):
    """Standard error of one network's accuracy, from the finite number of pictures."""
    return np.sqrt(accuracy * (1 - accuracy) / images)


def least_difference(discordant, images, alpha=0.05, power=0.5):
    """The smallest difference of two networks' accuracies that McNemar's test finds with that power; 0.5: one just significant.

    discordant: share of the pictures that exactly one of the two gets right. Normal approximation.
    """
    from scipy import stats

    return (stats.norm.isf(alpha / 2) + stats.norm.ppf(power)) * np.sqrt(discordant / images)
