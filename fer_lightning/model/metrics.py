"""Scores of predictions: pure functions of logits and labels. `Predictions` gathers these over an epoch."""

import math

import torch
import torch.nn.functional as F
from torchmetrics.functional import classification as tm

from fer_lightning.data.faces import CLASSES


class Predictions:
    """Gathers logits (N, C), labels (N,) and rows (N,) of one pass over a part; `compute()` returns the three.

    Scores are computed once, at the end of the pass, so that a training step does nothing but train. If several processes share the
    pass, each of them gathers all of it. Not a torchmetrics Metric, whose compute() takes the dimension from a part of one image.
    """

    def __init__(self):
        self.reset()

    def reset(self):
        self._batches = []

    def update(self, logits, labels, rows):
        self._batches.append((logits.detach().float(), labels, rows))

    def compute(self):
        return tuple(map(torch.cat, zip(*self._batches, strict=True)))


def answers(logits):
    """The most probable class (N,) of logits (N, C); C, which is no class and never right, for an image whose probabilities are NaN."""
    return torch.where(logits.softmax(1).isfinite().all(1), logits.argmax(1), logits.shape[1])


def _ranks_last(logits, labels):
    """Logits (N, C), those of an image without an answer replaced by some that put its true class (N,) last."""
    classes = logits.shape[1]
    return torch.where((answers(logits) == classes)[:, None], -F.one_hot(labels, classes).to(logits), logits)


def score(logits, labels):
    """The scores of any part, by their names in `fer_lightning.runs.scores`. logits (N, C), labels (N,). Returns {name: float}.

    accuracy is over all images (micro); macro_f1 gives each class the same weight, weighted_f1 its share of the images.
    ece: 15 bins of equal width of the top probability; ece_adaptive: 15 bins of equally many images.
    brier: mean over images of sum over classes of (p - y)^2.
    Images whose probabilities are NaN count as wrong; loss, ece and brier are then NaN, so that the epoch is never selected.
    """
    C = logits.shape[1]
    probabilities = logits.softmax(1)
    found = answers(logits)
    finite = bool((found < C).all())
    # torchmetrics takes C for one more class if it occurs, also in the mean over the classes that occur.
    classes = C if finite else C + 1
    occurring = torch.cat([labels, found]).unique()
    excess = len(occurring) / max(int((occurring < C).sum()), 1)
    return {
        "loss": F.cross_entropy(logits, labels).item(),
        "accuracy": tm.multiclass_accuracy(found, labels, classes, average="micro").item(),
        "macro_f1": excess * tm.multiclass_f1_score(found, labels, classes, average="macro").item(),
        "weighted_f1": tm.multiclass_f1_score(found, labels, classes, average="weighted").item(),
        "top2": tm.multiclass_accuracy(_ranks_last(logits, labels), labels, C, average="micro", top_k=2).item(),
        "ece": tm.multiclass_calibration_error(probabilities, labels, C, n_bins=15).item() if finite else math.nan,
        "ece_adaptive": _adaptive_error(probabilities, labels) if finite else math.nan,
        "brier": (probabilities - F.one_hot(labels, C)).square().sum(1).mean().item(),
    }


def _adaptive_error(probabilities, labels, bins=15):
    top, found = probabilities.max(1)
    gaps = (top - (found == labels).to(top))[top.argsort(stable=True)]
    return sum(part.sum().abs() for part in gaps.tensor_split(bins)).item() / len(labels)


def accuracy(logits, labels, among=slice(None)):
    """The share of right predictions among the images that the mask `among` (N,) chooses."""
    return (answers(logits) == labels)[among].float().mean().item()


def per_class(logits, labels, classes=CLASSES):
    """{class: {precision, recall, f1, support}}; 0 for a class that is never predicted or never present."""
    found, C = answers(logits), len(classes)
    table = {
        "precision": tm.multiclass_precision(found, labels, C + 1, average=None),
        "recall": tm.multiclass_recall(found, labels, C + 1, average=None),
        "f1": tm.multiclass_f1_score(found, labels, C + 1, average=None),
    }
    support = torch.bincount(labels, minlength=C)
    return {name: {k: v[i].item() for k, v in table.items()} | {"support": support[i].item()} for i, name in enumerate(classes)}


def confusion(logits, labels):
    """C x C counts in the order of the classes; a row per true class, a column per prediction. An image without an answer is in none."""
    C = logits.shape[1]
    return tm.multiclass_confusion_matrix(answers(logits), labels, C + 1)[:C, :C].tolist()


def score_parts(parts, clean, classes=CLASSES):
    """{val: scores, test: scores} of {part: (logits (N, C), labels (N,), rows (N,))}; None for a missing part.

    clean: which test images have no twin in training, (N,) bool, for the clean scores; None if not known
    """
    metrics = {"val": None, "test": None} | {part: score(logits, labels) for part, (logits, labels, _) in parts.items()}
    if "test" in parts:
        logits, labels, _ = parts["test"]
        metrics["test"] |= {
            "accuracy_clean": None if clean is None else accuracy(logits, labels, clean),
            "n": len(labels),
            "n_clean": None if clean is None else int(clean.sum()),
            "per_class": per_class(logits, labels, classes),
            "confusion": confusion(logits, labels),
        }
    return metrics


def agreement(logits, shares):
    """{ferplus_agreement, ferplus_kl}: how predictions agree with the people who voted on each image (FER+).

    logits (N, 7); shares (N, 7): of each class in the votes for an image; all zero if no vote went to one of the seven classes
    ferplus_agreement: mean of `matches` over all images, like accuracy
    ferplus_kl: mean of KL(votes || prediction), in nats, over the images that have a vote
    """
    divergence = F.kl_div(logits.log_softmax(1), shares, reduction="none").sum(1)
    return {
        "ferplus_agreement": matches(answers(logits), F.pad(shares, (0, 1))).mean().item(),
        "ferplus_kl": divergence[shares.any(1)].mean().item(),
    }


def matches(classes, shares):
    """(N,): 1 if the predicted class (N,) has most votes, 1 / k if k classes share the lead, otherwise 0. shares (N, 7)."""
    leads = (shares == shares.amax(1, keepdim=True)) & (shares > 0)
    return leads.gather(1, classes[:, None])[:, 0] / leads.sum(1).clamp(min=1)
