"""Scores of a set of predictions. Pure functions of logits and labels; `Predictions` gathers these over an epoch."""

import math

import torch
import torch.nn.functional as F
from torchmetrics import Metric
from torchmetrics.functional import classification as tm

from fer_lightning.data.faces import CLASSES

C = len(CLASSES)


class Predictions(Metric):
    """Logits (N, 7), labels (N,) and rows (N,) of one pass over a part.

    Scores are computed once, at the end of the pass, so that a training step does nothing but train. Of several processes that share the
    pass each gathers all of it.
    """

    full_state_update = False

    def __init__(self):
        super().__init__(sync_on_compute=False)
        for name in ("logits", "labels", "rows"):
            self.add_state(name, default=[])

    def update(self, logits, labels, rows):
        self.logits.append(logits.detach().float())
        self.labels.append(labels)
        self.rows.append(rows)

    def compute(self):
        return tuple(torch.cat(state) for state in (self.logits, self.labels, self.rows))


def answered(logits, labels):
    """Logits in which a picture that got no number counts as wrong: its own class comes last. logits (N, 7), labels (N,)."""
    numbers = logits.isfinite().all(1, keepdim=True)
    return logits if numbers.all() else torch.where(numbers, logits, -F.one_hot(labels, C).to(logits))


def score(logits, labels):
    """The scores of a part, by their names in `fer_lightning.runs.scores`. logits (N, 7), labels (N,). Returns {name: float}.

    accuracy is over pictures (micro); macro_f1 gives each class the same weight, weighted_f1 its share of the pictures.
    ece: 15 equal-width bins of the top probability. brier: mean over pictures of sum over classes (p - y)^2.
    What a network that diverged says counts as wrong, and its loss, ece and brier are NaN; so it is never the best.
    """
    probabilities = logits.softmax(1)
    answers = answered(logits, labels)
    finite = answers is logits
    return {
        "loss": F.cross_entropy(logits, labels).item(),
        "accuracy": tm.multiclass_accuracy(answers, labels, C, average="micro").item(),
        "macro_f1": tm.multiclass_f1_score(answers, labels, C, average="macro").item(),
        "weighted_f1": tm.multiclass_f1_score(answers, labels, C, average="weighted").item(),
        "top2": tm.multiclass_accuracy(answers, labels, C, average="micro", top_k=2).item(),
        "ece": tm.multiclass_calibration_error(probabilities, labels, C, n_bins=15).item() if finite else math.nan,
        "brier": (probabilities - F.one_hot(labels, C)).square().sum(1).mean().item(),
    }


def accuracy(logits, labels, among=slice(None)):
    """The share of right answers among the chosen pictures; among: a mask (N,)."""
    return (answered(logits, labels).argmax(1) == labels)[among].float().mean().item()


def per_class(logits, labels):
    """{class: {precision, recall, f1, support}}; 0 where a class was never predicted or never present."""
    answers = answered(logits, labels)
    table = {
        "precision": tm.multiclass_precision(answers, labels, C, average=None),
        "recall": tm.multiclass_recall(answers, labels, C, average=None),
        "f1": tm.multiclass_f1_score(answers, labels, C, average=None),
    }
    support = torch.bincount(labels, minlength=C)
    return {name: {k: v[i].item() for k, v in table.items()} | {"support": support[i].item()} for i, name in enumerate(CLASSES)}


def confusion(logits, labels):
    """7 x 7 counts, rows = true, in the order of CLASSES."""
    return tm.multiclass_confusion_matrix(answered(logits, labels), labels, C).tolist()


def score_parts(parts, clean):
    """{val: scores, test: scores} of {part: (logits (N, 7), labels (N,), rows (N,))}; None for a part that is not there.

    clean: mask of the test pictures (N,), for the scores that only the test part has; None where it is not known.
    """
    metrics = {"val": None, "test": None} | {part: score(logits, labels) for part, (logits, labels, _) in parts.items()}
    if "test" in parts:
        logits, labels, _ = parts["test"]
        metrics["test"] |= {
            "accuracy_clean": None if clean is None else accuracy(logits, labels, clean),
            "n": len(labels),
            "n_clean": None if clean is None else int(clean.sum()),
            "per_class": per_class(logits, labels),
            "confusion": confusion(logits, labels),
        }
    return metrics
