"""Splits by name: their sizes, their shares of each class, and that no image is on two sides."""

import tempfile

import numpy as np
import pytest
from helpers.project import TABLE, compose, needs_fer2013, options
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from fer_lightning.data import fer2013
from fer_lightning.data.faces import NO_LABEL, Faces
from fer_lightning.data.protocols import (
    draw_stratified,
    k_fold,
    official,
    random_70_15_15,
    swapped,
    swapped_merged,
    train_875_125,
    train_plus_one_test,
)
from fer_lightning.data.synthetic import draw
from fer_lightning.data.twins import image_ids
from fer_lightning.process.errors import ConfigError, DataError

DRAWN = [random_70_15_15, train_875_125, k_fold]


def make_faces(sizes=(600, 100, 100), twins=0, seed=0):
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    pixels = rng.integers(0, 256, (n, 1, 48, 48), dtype=np.uint8)
    labels = rng.choice(7, n, p=[0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17])
    copies = rng.choice(n, (2, twins))
    pixels[copies[0]] = pixels[copies[1]]
    labels[copies[0]] = labels[copies[1]]
    return Faces(pixels, labels, np.repeat([0, 1, 2], sizes), "made up", "unknown", {})


def parts(split):
    return split.train, split.val, split.test


def sizes(split):
    return [len(part) for part in parts(split)]


def shared(faces, one, other):
    """How many images of one part have an identical image in the other."""
    ids = image_ids(faces.pixels)
    return int(np.isin(ids[one], ids[other]).sum())


@pytest.mark.parametrize("name", options("protocol"))
def test_every_protocol_takes_each_image_once_and_has_its_name(name):
    faces = make_faces(twins=60)
    split = instantiate(compose(f"protocol={name}").protocol)(faces)
    everything = np.concatenate(parts(split))
    assert len(np.unique(everything)) == len(everything) and len(split.train) > len(split.val)
    assert split.protocol.startswith(name)
    assert all(part.dtype.kind == "i" and np.array_equal(part, np.sort(part)) for part in parts(split))
    if name != "k_fold":
        assert len(everything) == len(faces.labels)


def test_official_and_swapped():
    faces = make_faces()
    first, second, merged = official(faces), swapped(faces), swapped_merged(faces)
    assert [split.protocol for split in (first, second, merged)] == ["official", "swapped", "swapped_merged"]
    assert np.array_equal(first.val, second.test) and np.array_equal(first.test, second.val)
    assert first.val.tolist() == list(range(600, 700))
    assert merged.train.tolist() == [*range(600), *range(700, 800)] and not len(merged.val)
    assert np.array_equal(merged.test, second.test)


def test_90_10_names_its_validation_part():
    faces = make_faces()
    public, private = train_plus_one_test(faces), train_plus_one_test(faces, "PrivateTest")
    assert (public.protocol, private.protocol) == ("train_plus_one_test_PublicTest", "train_plus_one_test_PrivateTest")
    assert public.val.tolist() == list(range(600, 700)) and sizes(public) == sizes(private) == [700, 100, 0]
    with pytest.raises(ConfigError, match=r"protocol.val_part=Private: .* Did you mean PrivateTest"):
        train_plus_one_test(faces, "Private")


def test_sizes_without_twins_are_exact():
    faces = make_faces((803, 97, 100))
    assert sizes(random_70_15_15(faces)) == [700, 150, 150]
    assert sizes(train_875_125(faces)) == [703, 100, 197]
    assert sorted(sizes(k_fold(faces, 5, fold)) for fold in range(5)) == [[642, 161, 100]] * 3 + [[643, 160, 100]] * 2


@pytest.mark.parametrize("protocol", DRAWN)
def test_each_class_has_its_share_of_each_part(protocol):
    faces = make_faces()
    split = protocol(faces)
    drawn_from = np.concatenate(parts(split)) if protocol is random_70_15_15 else np.arange(600)
    shares = np.bincount(faces.labels[drawn_from], minlength=7) / len(drawn_from)
    for part in parts(split) if protocol is random_70_15_15 else (split.train, split.val):
        assert np.abs(np.bincount(faces.labels[part], minlength=7) - shares * len(part)).max() < 2


@pytest.mark.parametrize("protocol", DRAWN)
def test_the_seed_draws_the_split(protocol):
    faces = make_faces(twins=60)
    assert all(np.array_equal(a, b) for a, b in zip(parts(protocol(faces, seed=3)), parts(protocol(faces, seed=3))))
    assert not np.array_equal(protocol(faces, seed=3).val, protocol(faces, seed=4).val)
    with pytest.raises(ConfigError, match="protocol.seed=-1"):
        protocol(faces, seed=-1)


@pytest.mark.parametrize("protocol", DRAWN)
def test_twins_are_kept_together_where_asked_for(protocol):
    faces = make_faces(twins=200)
    together, apart = protocol(faces, keep_twins_together=True), protocol(faces)
    assert shared(faces, together.val, together.train) == 0 and shared(faces, apart.val, apart.train) > 5
    assert together.protocol == f"{apart.protocol}_twins_together"
    if protocol is random_70_15_15:
        assert shared(faces, together.test, np.concatenate([together.train, together.val])) == 0
    assert np.abs(np.subtract(sizes(together), sizes(apart))).max() <= 3


@pytest.mark.parametrize("protocol", DRAWN)
def test_photographs_are_kept_together_where_asked_for(protocol):
    """60 pairs of one photograph, each with a paler print, so that no two images are identical."""
    faces = draw(train=600, val=100, test=100)
    originals, prints = np.random.default_rng(1).permutation(600)[:120].reshape(2, 60)
    faces.pixels[prints], faces.labels[prints] = faces.pixels[originals] // 2 + 60, faces.labels[originals]

    def torn(split):
        side = np.zeros(len(faces.labels), int)
        side[split.val], side[split.test] = 1, 2
        return int((side[originals] != side[prints]).sum())

    identical, photographs = protocol(faces, keep_twins_together=True), protocol(faces, keep_twins_together=0.94)
    assert torn(identical) > 5 and torn(photographs) == 0
    assert photographs.protocol == identical.protocol.replace("_twins_together", "_photos_together_0.94")
    assert np.abs(np.subtract(sizes(photographs), sizes(protocol(faces)))).max() <= 3
    with pytest.raises(ConfigError, match="similarity of 0.5 cannot be found: give a number from 0.9 to 1"):
        protocol(faces, keep_twins_together=0.5)


def test_folds_are_disjoint_and_cover_training():
    faces = make_faces(twins=60)
    folds = [k_fold(faces, 4, fold, seed=1) for fold in range(4)]
    assert np.array_equal(np.sort(np.concatenate([split.val for split in folds])), np.arange(600))
    assert all(np.array_equal(split.train, np.setdiff1d(np.arange(600), split.val)) for split in folds)
    assert all(split.test.tolist() == list(range(700, 800)) for split in folds)
    with pytest.raises(ConfigError, match="protocol.fold=4: folds are 0 to 3"):
        k_fold(faces, 4, 4)
    with pytest.raises(ConfigError, match="protocol.folds=1: the minimum is two folds"):
        k_fold(faces, 1)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), min_size=1, max_size=120),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_no_group_is_ever_torn(images, share, seed):
    labels, groups = np.array(images).T
    pool = np.arange(len(images))
    size = round(share * len(pool))
    drawn, rest = draw_stratified(pool, size, labels=labels, groups=groups, rng=np.random.default_rng(seed))
    assert np.array_equal(np.sort(np.concatenate([drawn, rest])), pool)
    assert not np.intersect1d(groups[drawn], groups[rest]).size
    classes = len(np.unique(labels))
    assert size - classes * (np.bincount(groups).max() - 1) <= len(drawn) <= size


@given(st.lists(st.integers(0, 6), min_size=1, max_size=120), st.floats(0, 1), st.integers(0, 99))
def test_without_groups_sizes_and_shares_are_exact(labels, share, seed):
    labels, pool = np.array(labels), np.arange(len(labels))
    size = round(share * len(pool))
    drawn, rest = draw_stratified(pool, size, labels=labels, groups=pool, rng=np.random.default_rng(seed))
    assert (len(drawn), len(rest)) == (size, len(pool) - size)
    exact = np.bincount(labels, minlength=7) * size / len(pool)
    assert np.abs(np.bincount(labels[drawn], minlength=7) - exact).max() < 1


def test_a_test_part_without_labels_is_refused():
    faces = make_faces((80, 10, 10))
    faces.labels[95] = NO_LABEL
    with pytest.raises(DataError, match="9 labelled images of 10 in PrivateTest, and protocol=official needs"):
        official(faces)
    with pytest.raises(DataError, match="protocol=random_70_15_15 needs them all"):
        random_70_15_15(faces)




@needs_fer2013
def test_the_counts_of_the_checklist():
    with tempfile.TemporaryDirectory() as cache:
        faces = fer2013.read(TABLE, cache)
        expected = {
            official: [28709, 3589, 3589],
            swapped: [28709, 3589, 3589],
            swapped_merged: [32298, 0, 3589],
            train_plus_one_test: [32298, 3589, 0],
            random_70_15_15: [25121, 5383, 5383],
            train_875_125: [25120, 3589, 7178],
            k_fold: [22967, 5742, 3589],
        }
        for protocol, counts in expected.items():
            split = protocol(faces)
            assert sizes(split) == counts, split.protocol
            if protocol in DRAWN:
                together = protocol(faces, keep_twins_together=True)
                assert sizes(together) == counts
                assert shared(faces, together.val, together.train) == 0 and shared(faces, split.val, split.train) > 100
                share = np.bincount(faces.labels[split.val]) / np.bincount(faces.labels[split.train])
                assert share.max() / share.min() < 1.03
        assert shared(faces, official(faces).test, official(faces).train) == 288  # A.3
        split = random_70_15_15(faces, keep_twins_together=True)
        assert shared(faces, split.test, np.concatenate([split.train, split.val])) == 0
