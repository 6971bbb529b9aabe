"""Scores of a set of predictions. Pure functions of logits and labels; `Predictions` gathers these over an epoch."""

import math

import torch
import torch.nn.functional as F
from torchmetrics import Metric
from torchmetrics.functional import classification as tm

from fer_lightning.data.faces import CLASSES
from fer_lightning.errors import ConfigError, near

C = len(CLASSES)

# What `score` gives, and whether more is better.
DIRECTIONS = {
    "loss": "min",
    "accuracy": "max",
    "macro_f1": "max",
    "weighted_f1": "max",
    "top2": "max",
    "ece": "min",
    "brier": "min",
}


class Predictions(Metric):
    """Logits (N, 7), labels (N,) and rows (N,) of one pass over a part; gathered over processes where there are several.

    Scores are computed once, at the end of the pass, so that a training step does nothing but train.
    """

    full_state_update = False

    def __init__(self):
        super().__init__()
        for name in ("logits", "labels", "rows"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits, labels, rows):
        self.logits.append(logits.detach().float())
        self.labels.append(labels)
        self.rows.append(rows)

    def compute(self):
        # After a gather over processes a state is one tensor already.
        return tuple(torch.cat(s) if isinstance(s, list) else s for s in (self.logits, self.labels, self.rows))


def direction(key, monitor):
    """min or max for a monitored score such as val/accuracy. Only validation scores select: the test part must not, train cannot.

    key: the config key that names the monitor, for the ConfigError of an unknown one.
    """
    known = [f"val/{name}" for name in DIRECTIONS]
    if monitor not in known:
        raise ConfigError(f"{key}={monitor}: there is no such score. {near(monitor, known)}")
    return DIRECTIONS[monitor.removeprefix("val/")]


def score(logits, labels):
    """The scores every part gets. logits (N, 7), labels (N,). Returns {name: float}, fractions of 1.

    accuracy is over pictures (micro); macro_f1 gives each class the same weight, weighted_f1 its share of the pictures.
    ece: 15 equal-width bins of the top probability. brier: mean over pictures of sum over classes (p - y)^2.
    All are NaN where some logit is no number: what a network that diverged says is never the best.
    """
    if not logits.isfinite().all():
        return dict.fromkeys(DIRECTIONS, math.nan)
    probabilities = logits.softmax(1)
    return {
        "loss": F.cross_entropy(logits, labels).item(),
        "accuracy": tm.multiclass_accuracy(logits, labels, C, average="micro").item(),
        "macro_f1": tm.multiclass_f1_score(logits, labels, C, average="macro").item(),
        "weighted_f1": tm.multiclass_f1_score(logits, labels, C, average="weighted").item(),
        "top2": tm.multiclass_accuracy(logits, labels, C, average="micro", top_k=2).item(),
        "ece": tm.multiclass_calibration_error(probabilities, labels, C, n_bins=15).item(),
        "brier": (probabilities - F.one_hot(labels, C)).square().sum(1).mean().item(),
    }


def accuracy(logits, labels, among=slice(None)):
    """The share of right answers among the chosen pictures; among: a mask (N,). NaN where some logit is no number, as in `score`."""
    if not logits.isfinite().all():
        return math.nan
    return (logits.argmax(1) == labels)[among].float().mean().item()


def per_class(logits, labels):
    """{class: {precision, recall, f1, support}}; 0 where a class was never predicted or never present."""
    table = {
        "precision": tm.multiclass_precision(logits, labels, C, average=None),
        "recall": tm.multiclass_recall(logits, labels, C, average=None),
        "f1": tm.multiclass_f1_score(logits, labels, C, average=None),
    }
    support = torch.bincount(labels, minlength=C)
    return {name: {k: v[i].item() for k, v in table.items()} | {"support": support[i].item()} for i, name in enumerate(CLASSES)}


def confusion(logits, labels):
    """7 x 7 counts, rows = true, in the order of CLASSES."""
    return tm.multiclass_confusion_matrix(logits, labels, C).tolist()


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
