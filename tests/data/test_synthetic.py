"""The drawn faces: their contract, their determinism, and that they are a task for a conv net but not for a linear model."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fer_lightning.data.faces import CLASSES, SIZE, SPLITS
from fer_lightning.data.synthetic import draw
from fer_lightning.process.errors import DataError

SIZES = {"train": 300, "val": 80, "test": 70}


@pytest.fixture(scope="module")
def faces():
    return draw(**SIZES)


def test_arrays_keep_the_contract_of_faces(faces):
    n = sum(SIZES.values())
    assert faces.pixels.shape == (n, 1, SIZE, SIZE) and faces.pixels.dtype == np.uint8
    assert faces.labels.shape == faces.usage.shape == (n,)
    assert faces.labels.dtype == faces.usage.dtype == np.int64
    assert np.bincount(faces.usage).tolist() == list(SIZES.values())
    assert faces.verdict == "synthetic" and faces.source == "synthetic faces, seed 0"
    assert list(faces.fingerprint) == list(SPLITS)
    assert all(len(digest) == 32 for digest in faces.fingerprint.values())


def test_same_seed_same_bytes_other_seed_other_bytes(faces):
    again, other = draw(**SIZES), draw(**SIZES, seed=1)
    assert again.pixels.tobytes() == faces.pixels.tobytes() and again.labels.tobytes() == faces.labels.tobytes()
    assert again.fingerprint == faces.fingerprint
    assert not set(other.fingerprint.values()) & set(faces.fingerprint.values())


def test_the_test_split_does_not_depend_on_the_other_sizes(faces):
    fewer = draw(train=20, val=0, test=SIZES["test"])
    np.testing.assert_array_equal(fewer.pixels[fewer.usage == 2], faces.pixels[faces.usage == 2])
    assert fewer.fingerprint["PrivateTest"] == faces.fingerprint["PrivateTest"]


def test_the_official_sizes_give_the_official_counts():
    counts = draw(train=0, val=3589, test=3589).counts
    assert list(counts["Training"].values()) == [0] * 7
    assert list(counts["PublicTest"].values()) == [467, 56, 496, 895, 653, 415, 607]
    assert list(counts["PrivateTest"].values()) == [491, 55, 528, 879, 594, 416, 626]


@pytest.mark.parametrize("n", [7, 8, 20, 64, 301])
def test_counts_are_the_official_shares_with_one_of_each_class_at_least(n):
    counts = np.array(list(draw(train=n, val=0, test=0).counts["Training"].values()))
    share = n * np.array([3995, 436, 4097, 7215, 4830, 3171, 4965]) / 28709
    assert counts.sum() == n and counts.min() >= 1
    if n >= 64:
        assert np.abs(counts - share).max() < 1.5


@pytest.mark.parametrize("n", [0, 1, 6])
def test_a_split_may_be_smaller_than_the_number_of_classes(n):
    assert len(draw(train=n, val=n, test=n).labels) == 3 * n


def test_rows_are_shuffled_within_a_split(faces):
    labels = faces.labels[faces.usage == 0]
    assert set(labels[:60]) > {0, 2, 3, 4, 5, 6}


def test_no_image_occurs_twice(faces):
    assert len({face.tobytes() for face in faces.pixels}) == len(faces.pixels)


def test_every_image_has_contrast(faces):
    assert faces.pixels.reshape(len(faces.pixels), -1).std(1).min() > 5


def test_the_global_random_state_stays_as_it_was():
    before = np.random.get_state()
    draw(train=8, val=8, test=8)
    after = np.random.get_state()
    assert before[2:] == after[2:] and np.array_equal(before[1], after[1])


@pytest.mark.parametrize("key", ["train", "val", "test", "seed"])
@pytest.mark.parametrize("value", [-1, 2.5, "64", None, True])
def test_a_wrong_size_is_refused_by_name(key, value):
    with pytest.raises(DataError, match=f"{key}=.*set {key} to a whole number"):
        draw(**{key: value})


@pytest.fixture
def task():
    """((train pixels, labels), (test pixels, labels)), on one thread: on a shared machine a second one waits more than it works."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    faces = draw(val=0)
    pixels, labels = torch.from_numpy(faces.pixels).float() / 255, torch.from_numpy(faces.labels)
    pixels = (pixels - pixels.mean()) / pixels.std()
    train = torch.from_numpy(faces.usage == 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield (pixels[train], labels[train]), (pixels[~train], labels[~train])
    torch.set_num_threads(threads)


def _accuracy(model, x, y):
    with torch.no_grad():
        return (model.eval()(x).argmax(1) == y).float().mean().item()


@pytest.mark.slow
def test_a_small_conv_net_learns_the_task(task):
    (x, y), test = task
    layers, channels = [], 1
    for width in (16, 32, 64, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 9, len(CLASSES)))
    epochs, batch = 8, 64
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * len(x) // batch)
    accuracy = []
    for _ in range(epochs):
        net.train()
        for rows in torch.randperm(len(x)).split(batch):
            flip = torch.rand(len(rows), 1, 1, 1) < 0.5
            optimizer.zero_grad()
            F.cross_entropy(net(torch.where(flip, x[rows].flip(3), x[rows])), y[rows]).backward()
            optimizer.step()
            schedule.step()
        accuracy.append(_accuracy(net, *test))
    assert accuracy[-1] >= 0.80
    assert 0.35 < accuracy[1] < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("decay", [0, 1e-2, 1e-1])
def test_a_linear_model_does_not(task, standardised, decay):
    (x, y), (x_test, y_test) = task
    x, x_test = x.flatten(1), x_test.flatten(1)
    if standardised:
        x, x_test = (x - x.mean(0)) / x.std(0), (x_test - x.mean(0)) / x.std(0)
    model = nn.Linear(x.shape[1], len(CLASSES))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = F.cross_entropy(model(x), y) + decay * model.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert _accuracy(model, x, y) > 0.55
    assert _accuracy(model, x_test, y_test) < 0.60
