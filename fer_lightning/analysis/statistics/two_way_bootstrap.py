"""Intervals that hold for other seeds and for other pictures: runs and pictures are both redrawn."""

from dataclasses import dataclass

import numpy as np

# Draws at a time: their weights stay in the processor's cache.
CHUNK = 250


@dataclass(frozen=True)
class Pictures:
    """right: (blocks, cells, pictures), whether each run got each picture right, False where there is no run
    drawn: (blocks, cells, draws), each run's accuracy on pictures drawn with replacement, the same ones for all runs
    """

    right: np.ndarray
    drawn: np.ndarray


def draw_pictures(right, resamples, rng):
    """The Pictures of `right`."""
    *runs, pictures = right.shape
    flat = right.reshape(-1, pictures).astype(np.float32)
    drawn = [flat @ shares(rng, min(CHUNK, resamples - start), pictures).T for start in range(0, resamples, CHUNK)]
    return Pictures(right, np.concatenate(drawn, 1).reshape(*runs, resamples))


def shares(rng, draws, n):
    """How often each of n things comes up in n draws with replacement, divided by n: (draws, n)."""
    drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return (np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n) / n).astype(np.float32)


def two_way_variance(right):
    """Variance of the mean of `right` (blocks, pictures), both being samples: V_blocks + V_pictures - V_both.

    Cameron, Gelbach & Miller (2011). What varies with both is in each of the first two, so it is taken out once.
    """
    blocks, pictures = right.shape
    per_block, per_picture = right.mean(1, dtype=float), right.mean(0, dtype=float)
    both = right - per_block[:, None] - per_picture + per_block.mean()
    of_blocks, of_pictures = per_block.var(ddof=1) / blocks, per_picture.var(ddof=1) / pictures
    of_both = np.square(both).sum() / ((blocks - 1) * (pictures - 1) * blocks * pictures)
    return max(of_blocks + of_pictures - of_both, of_blocks)


def two_way_interval(right, drawn, level, rng):
    """(low, high) about the mean of a contrast, as distances from it.

    right: (blocks, pictures), the contrast picture by picture; drawn: (blocks, draws), it on the drawn pictures.
    Percentiles of draws of both pictures and blocks, stretched: a two-way bootstrap counts what varies with both three times (Owen
    2007), and percentiles over few blocks are too narrow (Hesterberg 2015). The draws get the standard deviation of
    `two_way_variance`, times Student's for normal quantiles.
    """
    from scipy import stats

    blocks, draws = drawn.shape
    means = np.einsum("bd,db->d", drawn, shares(rng, draws, blocks))
    spread = means.std(dtype=float)
    if not spread > 0:
        return 0.0, 0.0
    tail = (1 - level) / 2
    stretch = np.sqrt(two_way_variance(right)) / spread * stats.t.isf(tail, blocks - 1) / stats.norm.isf(tail)
    low, high = np.quantile(means, (tail, 1 - tail)) - means.mean(dtype=float)
    return stretch * low, stretch * high
