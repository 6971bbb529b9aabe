"""Losses, each built from the number of training images per class.

A loss takes logits (B, 7) and targets, which are class ids (B,) or, after mixup, probabilities (B, 7), and returns a scalar.
"""

import torch
import torch.nn.functional as F
from torch import nn

from fer_lightning.process.errors import ConfigError


def class_weights(kind, counts, maximum=None):
    """The weight of each class, (C,), from its number of training images (C,); None for kind none.

    kind:    none | balanced | inverse; ConfigError for anything else
             balanced: n / (C n_c), with mean 1 over the images; inverse: 1 / n_c, scaled to mean 1 over the classes
    maximum: larger weights are clipped to it (S2-15: 4.0, which only disgust exceeds)

    A class without training images gets 0.
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
    """Cross-entropy with label smoothing and class weights.

    torch divides a weighted loss by the sum of the weights if targets are class ids, by the number of images if they are probabilities.
    """
    return nn.CrossEntropyLoss(weight=class_weights(weights, counts, max_weight), label_smoothing=label_smoothing)


def squared_hinge(counts, weights: str = "none", max_weight: float | None = None):
    """One L2-SVM per class against all others, summed over the classes (Tang 2013, winner of the FER-2013 challenge)."""
    return SquaredHinge(class_weights(weights, counts, max_weight))


class SquaredHinge(nn.Module):
    """sum over classes of max(0, 1 -+ logit)^2, averaged over the images; weight (7,): of an image of each class in that average."""

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
    """The bias (7,) of the last layer with which an untrained network predicts the class shares of the training part (S3-4).

    It is the logarithm of each share; a class without images counts as one image.
    """
    counts = counts.clamp(min=1)
    return (counts / counts.sum()).log()
