"""Images of one photo that are not pixel-identical: cut out a few pixels further, lighter or darker, or stored with other losses."""

import hashlib
import json
import logging
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_lightning.data.faces import SIZE
from fer_lightning.data.twins import BLANK_SD, blank, image_ids
from fer_lightning.process.errors import ConfigError
from fer_lightning.process.files import replace_file

# The centre of one image may be shifted by so many pixels in the other.
SHIFT = 5
CROP = SIZE - 2 * SHIFT

# In FER-2013, pairs from 0.94 on show one photo; below 0.92 other pairs appear. Below 0.9 the search takes many minutes.
LOWEST = 0.9

# The search compares 6 x 6 means of crops at 4 x 4 shifts. Candidates are pairs at most MARGIN below the threshold there.
CELLS = 6
COARSE_SHIFTS = tuple(product((-4, -1, 1, 4), repeat=2))
MARGIN = 0.05

# Part of every key. Raise it if the search changes, so that older entries are no longer found.
VERSION = 1

log = logging.getLogger(__name__)


def photo_ids(pixels, threshold):
    """One integer per image, equal where images are linked by pairs of near or identical twins. pixels: (N, 1, 48, 48). Returns (N,)."""
    return link(image_ids(pixels), near_twins(pixels, threshold)[0])


def link(ids, pairs):
    """Ids (N,) from 0 on, equal where `ids` (N,) are equal or linked by pairs of rows (P, 2)."""
    links = coo_array((np.ones(len(pairs)), ids[pairs].T), shape=(ids.max() + 1,) * 2)
    return connected_components(links, directed=False)[1][ids]


def near_twins(pixels, threshold):
    """`find_near_twins`, saved in a file beside the images if these are a memory map, so that the search runs once.

    ConfigError for a threshold that cannot work.
    """
    if not LOWEST <= threshold <= 1:
        raise ConfigError(f"Near twins from a similarity of {threshold} cannot be found: give a number from {LOWEST} to 1, such as 0.94.")
    if pixels.shape[-1] != SIZE:
        raise ConfigError(f"Near twins are found among images of {SIZE} pixels, and these have {pixels.shape[-1]}: set data.size={SIZE}.")
    path = _entry(pixels, threshold)
    try:
        table = np.array(json.loads(path.read_text("utf-8")), np.float64).reshape(-1, 3) if path else None
    except (OSError, ValueError, TypeError):
        table = None
    if table is not None:
        return table[:, :2].astype(np.int64), table[:, 2]
    pairs, similarities = find_near_twins(pixels, threshold)
    if path:
        try:
            replace_file(path, json.dumps([[int(i), int(j), float(s)] for (i, j), s in zip(pairs, similarities, strict=True)]))
        except OSError as error:
            log.warning("near twins cannot be saved in %s (%s): every run will search for them again", path.parent, error)
    return pairs, similarities


def _entry(pixels, threshold):
    file = getattr(pixels, "filename", None)
    if file is None:
        return None
    digest = hashlib.blake2b(np.ascontiguousarray(pixels), key=repr((VERSION, threshold)).encode(), digest_size=16)
    return Path(file).with_name(f"{digest.hexdigest()}.near.json")


def find_near_twins(pixels, threshold):
    """The pairs of images that differ and have a similarity of `threshold` or more. pixels: (N, 1, 48, 48) uint8.

    The coarse search that comes first misses some: one of 794 on FER-2013.

    The similarity of two images is the largest normalised cross-correlation of the centre of one, 38 x 38, with a crop of the other
    that lies up to 5 pixels off in each direction, whichever of the two gives the centre.

    Returns (pairs (P, 2), similarities (P,)): rows i < j, for identical images the first of their rows; blank images have no twin.
    """
    log.info("searching for near twins among %d images: a minute for all of FER-2013, once", len(pixels))
    first = np.sort(np.unique(image_ids(pixels), return_index=True)[1])
    first = first[~blank(pixels[first])]
    images = torch.from_numpy(pixels[first, 0])
    found = []
    with _one_thread():
        similarity = _similarity(images)
        for i, j in _candidates(images, threshold - MARGIN):
            values = similarity(i, j)
            near = values >= threshold
            # Numbers, not tensors: small tensors kept between large temporary ones took 7 GB.
            found += zip(i[near].tolist(), j[near].tolist(), values[near].tolist(), strict=True)
    table = np.array(sorted(found)).reshape(-1, 3)
    return first[table[:, :2].astype(np.int64)], table[:, 2]


@contextmanager
def _one_thread():
    """The steps are so small that a second thread gains little, and if other work takes its core, every step waits for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _candidates(images, bound):
    """Yields (i, j), each (P,), i < j: the pairs in which the coarse centre of i correlates with a coarse crop of j by `bound`."""
    centres = _coarse(images, 0, 0)
    shifted = torch.stack([_coarse(images, dy, dx) for dy, dx in COARSE_SHIFTS], 1)
    # Blocks of 128 x 16 x 128 products, 1 MB, stay in the cache: three times as fast as 16 MB.
    for start, block in zip(range(0, len(images), 128), shifted.split(128)):
        for other, centre in zip(range(0, start + 128, 128), centres.split(128)):
            products = (block.flatten(0, 1) @ centre.T).view(len(block), len(COARSE_SHIFTS), -1)
            j, i = (products.amax(1) >= bound).nonzero(as_tuple=True)
            before = other + i < start + j
            yield other + i[before], start + j[before]


def _coarse(images, dy, dx):
    """The means of the cells of a crop, so many pixels off the centre, standardised: (N, 36)."""
    crops = images[:, None, SHIFT + dy : SHIFT + dy + CROP, SHIFT + dx : SHIFT + dx + CROP]
    cells = torch.cat([F.adaptive_avg_pool2d(part.float(), CELLS).flatten(1) for part in crops.split(1024)])
    return F.normalize(cells - cells.mean(1, keepdim=True))


def _similarity(images):
    """The function of (i, j), each (P,), that gives the similarities (P,) of pairs of `images` (N, 48, 48)."""
    wholes, centres = torch.empty(2, len(images), SIZE, SIZE // 2 + 1, dtype=torch.complex64)
    deviations = torch.empty(len(images), 2 * SHIFT + 1, 2 * SHIFT + 1)
    for part in torch.arange(len(images)).split(1024):
        whole = images[part] - images[part].float().mean((1, 2), keepdim=True)
        centre = whole[:, SHIFT:-SHIFT, SHIFT:-SHIFT].flatten(1)
        centre = F.normalize(centre - centre.mean(1, keepdim=True)).view(-1, CROP, CROP)
        wholes[part] = torch.fft.rfft2(whole)
        centres[part] = torch.fft.rfft2(centre, s=(SIZE, SIZE))
        deviations[part] = _deviations(whole)

    def one_way(i, j):
        """A product in the Fourier domain is the correlation at every shift; the first 11 x 11 shifts leave the crop within the image."""
        products = torch.fft.irfft2(wholes[j] * centres[i].conj(), s=(SIZE, SIZE))[:, : 2 * SHIFT + 1, : 2 * SHIFT + 1]
        return (products / (CROP * deviations[j])).flatten(1).amax(1)

    def similarity(i, j):
        values = torch.empty(len(i))
        for part in torch.arange(len(i)).split(256):
            values[part] = torch.maximum(one_way(i[part], j[part]), one_way(j[part], i[part]))
        return values

    return similarity


def _deviations(images):
    """Standard deviations of the crops (n, 11, 11), infinite for a blank crop, so that nothing correlates with it."""

    def mean(x):
        return F.avg_pool2d(F.avg_pool2d(x, (CROP, 1), stride=1), (1, CROP), stride=1)

    x = images[:, None].double()
    variances = (mean(x**2) - mean(x) ** 2).squeeze(1)
    return torch.where(variances < BLANK_SD**2, torch.inf, variances).sqrt().float()
