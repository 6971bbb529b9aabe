"""How much the mean of a contrast varies with other seeds and with other images, both of which are samples."""

import numpy as np


def two_way_variance(values):
    """(over blocks, of images) of the mean of values (blocks, images), two parts whose sum is its variance if both are samples.

    V_blocks + V_images - V_both (Cameron, Gelbach & Miller 2011): what varies with both is in each of the first two, so it is subtracted
    once. The first part, V_blocks, falls with the number of blocks; the second, V_images - V_both, is the floor that the images set. It is
    an unbiased estimate and so may be below zero.
    """
    blocks, images = values.shape
    per_block, per_image = values.mean(1, dtype=float), values.mean(0, dtype=float)
    both = values - per_block[:, None] - per_image + per_block.mean()
    of_blocks, of_images = per_block.var(ddof=1) / blocks, per_image.var(ddof=1) / images
    return of_blocks, of_images - np.square(both).sum() / ((blocks - 1) * (images - 1) * blocks * images)
