"""Intervals that hold for other seeds and for other images: runs and images are both resampled."""

from dataclasses import dataclass

import numpy as np
import scipy

# Draws at a time: their weights stay in the processor's cache.
CHUNK = 250


@dataclass(frozen=True)
class ImageDraws:
    """right: (blocks, cells, images), whether each run got each image right; False if there is no run
    drawn: (blocks, cells, draws), each run's accuracy on images drawn with replacement, the same ones for all runs
    """

    right: np.ndarray
    drawn: np.ndarray


def draw_images(right, resamples, rng):
    """The ImageDraws of `right` (blocks, cells, images)."""
    *runs, images = right.shape
    flat = right.reshape(-1, images).astype(np.float32)
    drawn = [flat @ shares(rng, min(CHUNK, resamples - start), images).T for start in range(0, resamples, CHUNK)]
    return ImageDraws(right, np.concatenate(drawn, 1).reshape(*runs, resamples))


def shares(rng, draws, n):
    """The share of n draws with replacement that falls on each of n things: (draws, n)."""
    drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return (np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n) / n).astype(np.float32)


def two_way_variance(right):
    """Variance of the mean of `right` (blocks, images) if both are samples: V_blocks + V_images - V_both (Cameron, Gelbach & Miller 2011).

    What varies with both is in each of the first two, so it is subtracted once.
    """
    blocks, images = right.shape
    per_block, per_image = right.mean(1, dtype=float), right.mean(0, dtype=float)
    both = right - per_block[:, None] - per_image + per_block.mean()
    of_blocks, of_images = per_block.var(ddof=1) / blocks, per_image.var(ddof=1) / images
    of_both = np.square(both).sum() / ((blocks - 1) * (images - 1) * blocks * images)
    return max(of_blocks + of_images - of_both, of_blocks)


def two_way_interval(right, drawn, level, rng):
    """(low, high) of the mean of a contrast, as distances from the mean.

    right: (blocks, images), the contrast image by image; drawn: (blocks, draws), the contrast on the drawn images

    Percentiles of draws of both images and blocks, stretched: a two-way bootstrap counts what varies with both three times (Owen 2007),
    and percentiles over few blocks are too narrow (Hesterberg 2015). The draws are scaled to the standard deviation of
    `two_way_variance`, times the ratio of Student's to the normal quantile.
    """
    blocks, draws = drawn.shape
    means = np.einsum("bd,db->d", drawn, shares(rng, draws, blocks))
    spread = means.std(dtype=float)
    if not spread > 0:
        return 0.0, 0.0
    tail = (1 - level) / 2
    stretch = np.sqrt(two_way_variance(right)) / spread * scipy.stats.t.isf(tail, blocks - 1) / scipy.stats.norm.isf(tail)
    low, high = np.quantile(means, (tail, 1 - tail)) - means.mean(dtype=float)
    return stretch * low, stretch * high
