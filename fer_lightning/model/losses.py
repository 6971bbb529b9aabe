"""Losses, built from the number of training pictures per class.

A loss takes logits (B, 7) and targets, class ids (B,) or probabilities (B, 7) as mixup leaves them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from fer_lightning.process.errors import ConfigError


def class_weights(kind, counts, maximum=None):
    """Weights (C,) for class counts (C,), or None.

    balanced: n / (C n_c), which averages to 1 over the pictures. inverse: 1 / n_c, scaled to a mean of 1 over the classes.
    A class without training pictures gets 0. maximum clips (S2-15: 4.0, which only disgust exceeds).
    """
    if kind == "none":
        return None
    inverse = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    if kind == "balanced":
        weights = inverse * counts.sum() / len(counts)
    elif kind == "inverse":
        weights = inverse / inverse.mean()
    else:
        raise ConfigError(f"loss.weights={kind}: choose none, balanced or inverse.")
    return weights if maximum is None else weights.clamp(max=maximum)


def cross_entropy(counts, label_smoothing: float = 0.0, weights: str = "none", max_weight: float | None = None):
    """Cross-entropy on logits, smoothed and weighted.

    torch divides a weighted loss by the weights of class ids, but by the number of pictures where targets are probabilities.
    """
    return nn.CrossEntropyLoss(weight=class_weights(weights, counts, max_weight), label_smoothing=label_smoothing)


def squared_hinge(counts, weights: str = "none", max_weight: float | None = None):
    """One L2-SVM a class against all others (Tang 2013, winner of the FER-2013 challenge), summed over classes."""
    return SquaredHinge(class_weights(weights, counts, max_weight))


class SquaredHinge(nn.Module):
    """Mean over pictures, weighted by the class where weights (7,) are given, of sum over classes max(0, 1 -+ logit)^2."""

    def __init__(self, weight=None):
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits, targets):
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1])
        losses = (targets * F.relu(1 - logits).square() + (1 - targets) * F.relu(1 + logits).square()).sum(1)
        if self.weight is None:
            return losses.mean()
        weight = targets.to(logits.dtype) @ self.weight
        return (weight * losses).sum() / weight.sum()


def prior_bias(counts):
    """The bias (7,) with which the last layer answers the class shares of the training part before it has learnt anything (S3-4).

    The logarithm of each share; a class without pictures counts as one picture.
    """
    counts = counts.clamp(min=1)
    return (counts / counts.sum()).log()
