"""Which images train, select and test a model. Every result carries the name of its protocol (A.2)."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from fer_lightning.data.faces import NO_LABEL, SPLITS
from fer_lightning.data.twins import image_ids
from fer_lightning.process.errors import ConfigError, DataError, near

NONE = np.empty(0, np.int64)

DRAWN = (
    "protocol=train_875_125 draws the validation part from train and tests on the others, protocol=random_70_15_15 draws all three parts."
)


@dataclass(frozen=True)
class Split:
    """Indices into `Faces`; empty in `val` or `test` if a protocol has no such part."""

    protocol: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def official(faces):
    """Training / PublicTest / PrivateTest: the usual published split (P1)."""
    return _split(faces, "official", *_official_parts(faces, "official"))


def swapped(faces):
    """Training / PrivateTest / PublicTest: what the code behind S4 does (P2)."""
    train, public, private = _official_parts(faces, "swapped")
    return _split(faces, "swapped", train, private, public)


def swapped_merged(faces):
    """Training and PrivateTest / none / PublicTest: P2 with its validation part trained on too, as for S4's 73.28 (P3)."""
    train, public, private = _official_parts(faces, "swapped_merged")
    return _split(faces, "swapped_merged", _merge(train, private), NONE, public)


def train_plus_one_test(faces, val_part: str = "PublicTest"):
    """Training and one official test part / val_part, the other one / no test: S1's 32,298 / 3,589 (P5)."""
    if val_part not in SPLITS[1:]:
        raise ConfigError(f"protocol.val_part={val_part}: there is no such test part. {near(val_part, SPLITS[1:])}")
    held_out = SPLITS.index(val_part)
    train, *tests = _official_parts(faces, "train_plus_one_test", needed=(0, held_out))
    val, more = tests[held_out - 1], tests[2 - held_out]
    return _split(faces, f"train_plus_one_test_{val_part}", _merge(train, more), val, NONE)


def random_70_15_15(faces, seed: int = 0, keep_twins_together: bool | float = False):
    """70 / 15 / 15 % of all images, stratified: 25,121 / 5,383 / 5,383 (P4)."""
    pool = _merge(*_official_parts(faces, "random_70_15_15", needed=()))
    draw, suffix = _stratified(faces, seed, keep_twins_together)
    size = round(0.15 * len(pool))
    test, rest = draw(pool, size)
    val, train = draw(rest, size)
    return _split(faces, f"random_70_15_15{suffix}", train, val, test)


def train_875_125(faces, seed: int = 0, keep_twins_together: bool | float = False):
    """87.5 / 12.5 % of Training, stratified / PublicTest and PrivateTest: 25,120 / 3,589 / 7,178 (P6)."""
    pool, public, private = _official_parts(faces, "train_875_125", needed=(0, 1 if np.any(faces.usage == 1) else 2))
    draw, suffix = _stratified(faces, seed, keep_twins_together)
    val, train = draw(pool, round(0.125 * len(pool)))
    return _split(faces, f"train_875_125{suffix}", train, val, _merge(public, private))


def k_fold(faces, folds: int = 5, fold: int = 0, *, seed: int = 0, keep_twins_together: bool | float = False):
    """The other folds of Training / fold number `fold` / PrivateTest, stratified (P7). Folds of one seed are disjoint."""
    if folds < 2:
        raise ConfigError(f"protocol.folds={folds}: the minimum is two folds.")
    if not 0 <= fold < folds:
        raise ConfigError(f"protocol.fold={fold}: folds are 0 to {folds - 1}.")
    pool, _, private = _official_parts(faces, "k_fold", needed=(0, 2))
    draw, suffix = _stratified(faces, seed, keep_twins_together)
    rest = pool
    for drawn in range(fold + 1):
        val, rest = draw(rest, round(len(rest) / (folds - drawn)))
    return _split(faces, f"k_fold{suffix}", np.setdiff1d(pool, val), val, private)


def _official_parts(faces, protocol, needed=(0, 1, 2)):
    """The indices of Training, PublicTest and PrivateTest; of FER-2013's own labels all, of FER+ only the images that have a label.

    needed: which of train, val and test a user's own data must have; of FER-2013 every protocol needs all three
    """
    if faces.is_own:
        parts = [np.flatnonzero(faces.usage == s) for s in range(len(faces.parts))]
        lacking = [faces.parts[s] for s in needed if not len(parts[s])]
        if lacking:
            raise DataError(f"{faces.source} has no {' and no '.join(lacking)} part, which protocol={protocol} needs. {DRAWN}")
        return parts
    parts = [np.flatnonzero(faces.usage == s) for s in range(len(SPLITS))]
    labelled = [part[faces.labels[part] != NO_LABEL] for part in parts]
    for name, part, kept in zip(SPLITS, parts, labelled, strict=True):
        if not len(kept) or (faces.label_set == "fer" and len(kept) < len(part)):
            raise DataError(
                f"{faces.source} has {len(kept)} labelled images of {len(part)} in {name}, and protocol={protocol} needs them all. "
                "Use an edition that has them: fer2013.csv, icml_face_data.csv or the folder edition."
            )
    return labelled


def _split(faces, protocol, *parts):
    """The Split with its name, which ends in _ferplus for labels of FER+: that is another task, and the numbers of the two never mix."""
    if faces.is_own:
        unseen = [name for c, name in enumerate(faces.classes) if not np.any(faces.labels[parts[0]] == c)]
        if unseen:
            raise DataError(
                f"{faces.source}: no training image under protocol={protocol} is of class {', '.join(unseen[:5])}, which can then not be "
                f"learnt. Add some, or leave the class out with data.labels={{{unseen[0]}: null}}."
            )
    return Split(protocol if faces.label_set in ("fer", "own") else f"{protocol}_ferplus", *parts)


def _merge(*parts):
    return np.sort(np.concatenate(parts))


def _stratified(faces, seed, keep_twins_together):
    """A function that draws images from a pool, and the end of the protocol's name.

    If identical images may lie on both sides, as in the papers, 5 to 7 % of the held-out images are also trained on (A.3). Results of the
    kinds are not comparable, so a protocol that keeps them together has a name of its own.

    keep_twins_together: true: identical images stay on one side; a similarity such as 0.94: all images of one photograph, which near twins
    link, stay on one side
    """
    if seed < 0:
        raise ConfigError(f"protocol.seed={seed}: a seed is 0 or more.")
    rng = np.random.default_rng(seed)
    if keep_twins_together is True:
        groups, suffix = image_ids(faces.pixels), "_twins_together"
    elif keep_twins_together is False:
        groups, suffix = np.arange(len(faces.labels)), ""
    else:
        from fer_lightning.data.near_twins import photo_ids  # torch

        groups, suffix = photo_ids(faces.pixels, keep_twins_together), f"_photos_together_{keep_twins_together:g}"
    return partial(draw_stratified, labels=faces.labels, groups=groups, rng=rng), suffix


def draw_stratified(pool, size, *, labels, groups, rng):
    """Draw `size` of the indices `pool`, of each class its share, and never a part of a group.

    A group counts by the label of its first image. The size is exact if each class has enough groups of one image; otherwise it falls
    short by less than the largest group per class. Returns (drawn, rest), in the order of the pool.
    """
    _, first, group, counts = np.unique(groups[pool], return_index=True, return_inverse=True, return_counts=True)
    classes = labels[pool][first]
    quota = shares(size, np.bincount(classes, weights=counts))
    drawn = np.zeros(len(counts), bool)
    for g in rng.permutation(len(counts)):
        if counts[g] <= quota[classes[g]]:
            drawn[g] = True
            quota[classes[g]] -= counts[g]
    chosen = drawn[group]
    return pool[chosen], pool[~chosen]


def shares(size, counts):
    """`size` divided in proportion to the counts (n,); the largest remainders are rounded up."""
    exact = size * counts / counts.sum()
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: size - whole.sum()]] += 1
    return whole
