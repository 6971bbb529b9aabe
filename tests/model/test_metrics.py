import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from fer_lightning.data.faces import CLASSES
from fer_lightning.model.metrics import Predictions, accuracy, agreement, confusion, per_class, score

# S4-41: the final confusion counts of the paper, rows angry to neutral in CSV order.
PAPER = np.array(
    [
        [308, 3, 34, 20, 49, 9, 44],
        [13, 36, 2, 1, 3, 1, 0],
        [38, 0, 284, 11, 84, 32, 47],
        [11, 0, 10, 797, 12, 15, 50],
        [56, 0, 54, 19, 425, 8, 91],
        [7, 0, 26, 16, 7, 351, 8],
        [31, 0, 21, 39, 78, 9, 429],
    ]
)


def predictions_of(counts):
    labels, predicted = (np.repeat(axis, counts.ravel()) for axis in np.indices(counts.shape).reshape(2, -1))
    return torch.nn.functional.one_hot(torch.from_numpy(predicted), 7).float() * 5, torch.from_numpy(labels)


def test_scores_of_the_papers_confusion_matrix():
    logits, labels = predictions_of(PAPER)
    scores = score(logits, labels)
    assert scores["accuracy"] == pytest.approx(0.7328, abs=5e-5)  # S4's headline
    assert scores["macro_f1"] == pytest.approx(0.725, abs=5e-4)  # S4-40, checked there
    recalls = [per_class(logits, labels)[name]["recall"] for name in CLASSES]
    assert recalls == pytest.approx([0.66, 0.64, 0.57, 0.89, 0.65, 0.85, 0.71], abs=5e-3)  # S4-42
    assert confusion(logits, labels) == PAPER.tolist()


def test_scores_by_hand():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 7)) * 2, rng.integers(0, 7, 500)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    top, right = p.max(1), p.argmax(1) == labels
    hits = {c: np.sum((p.argmax(1) == c) & right) for c in range(7)}
    f1 = {c: 2 * hits[c] / (np.sum(p.argmax(1) == c) + np.sum(labels == c)) for c in range(7)}
    bins = np.ceil(top * 15)
    expected = {
        "loss": -np.log(p[np.arange(500), labels]).mean(),
        "accuracy": right.mean(),
        "macro_f1": np.mean(list(f1.values())),
        "weighted_f1": sum(f1[c] * np.mean(labels == c) for c in range(7)),
        "top2": np.mean([labels[i] in np.argsort(p[i])[-2:] for i in range(500)]),
        "ece": sum(np.mean(bins == b) * abs(right[bins == b].mean() - top[bins == b].mean()) for b in np.unique(bins)),
        "brier": np.mean(((p - np.eye(7)[labels]) ** 2).sum(1)),
    }
    found = score(torch.from_numpy(logits), torch.from_numpy(labels))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_predictions_gather_a_pass_in_order():
    gathered = Predictions()
    logits, labels, rows = torch.randn(10, 7), torch.arange(10) % 7, torch.arange(10) + 100
    for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
        gathered.update(logits[part].bfloat16().float(), labels[part], rows[part])
    found = gathered.compute()
    assert torch.equal(found[1], labels) and torch.equal(found[2], rows) and found[0].dtype == torch.float32
    gathered.reset()
    gathered.update(logits, labels, rows)
    assert torch.equal(gathered.compute()[0], logits)


def test_a_pass_over_one_image_keeps_its_dimensions():
    gathered = Predictions()
    gathered.update(torch.zeros(1, 7), torch.tensor([3]), torch.tensor([9]))
    assert [part.shape for part in gathered.compute()] == [(1, 7), (1,), (1,)]
    assert score(*gathered.compute()[:2])["accuracy"] == 0


def test_scores_of_finite_logits_are_torchmetrics_to_the_last_bit():
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        logits, labels = torch.randn(500, 7, generator=generator), torch.randint(7, (500,), generator=generator)
        found = score(logits, labels)
        for average, name in (("macro", "macro_f1"), ("weighted", "weighted_f1")):
            assert found[name] == multiclass_f1_score(logits, labels, 7, average=average).item()
        assert found["accuracy"] == multiclass_accuracy(logits, labels, 7, average="micro").item()


def test_an_image_without_an_answer_is_wrong_and_of_no_class():
    """Three images, the last with NaN: two of three right; it is in the support of its class, and no class is predicted for it."""
    for bad in (torch.nan, torch.inf):
        logits = torch.zeros(3, 7)
        logits[0, 4] = logits[1, 0] = 5.0
        logits[2] = bad
        for last in range(7):
            labels = torch.tensor([4, 0, last])
            found, classes = score(logits, labels), per_class(logits, labels)
            assert found["accuracy"] == found["top2"] == pytest.approx(2 / 3)
            assert math.isnan(found["loss"]) and math.isnan(found["ece"]) and math.isnan(found["brier"])
            assert accuracy(logits, labels, torch.tensor([False, False, True])) == 0.0
            # Angry and sad are found and never wrongly predicted; of the class of the third image nothing more is found.
            assert classes["angry"]["precision"] == classes["sad"]["precision"] == 1
            own = classes[CLASSES[last]]
            shared = last in (0, 4)
            assert own["recall"] == pytest.approx(shared / 2) and own["support"] == 1 + shared
            assert found["macro_f1"] == pytest.approx((1 + 2 / 3) / 2 if shared else 2 / 3)
            table = confusion(logits, labels)
            assert sum(map(sum, table)) == table[0][0] + table[4][4] == 2
            shares = torch.nn.functional.one_hot(labels, 7).float()
            assert agreement(logits, shares)["ferplus_agreement"] == pytest.approx(2 / 3)
