"""Pixel-identical pictures. FER-2013 holds 34,034 distinct pictures among 35,887, and 8 % of PrivateTest has a twin in Training."""

import hashlib

import numpy as np


def picture_ids(pixels):
    """One integer a picture, equal exactly where all pixels are equal. pixels: (N, 1, 48, 48). Returns (N,)."""
    digests = np.array([hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in pixels], dtype="S16")
    return np.unique(digests, return_inverse=True)[1]


def without_twin(pixels, index, others):
    """Which of the pictures `index` have no identical twin among the pictures `others`. Returns (len(index),) bool."""
    ids = picture_ids(pixels)
    return ~np.isin(ids[index], ids[others])
