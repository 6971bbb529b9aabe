"""Losses, each built from the number of training images per class.

A loss takes logits (B, C) and targets, which are class ids (B,) or, after mixup, probabilities (B, C), and returns a scalar.
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


def cross_entropy(
    counts, label_smoothing: float = 0.0, weights: str = "none", *, max_weight: float | None = None, weighted: str = "targets"
):
    """Cross-entropy with label smoothing and class weights.

    weighted: targets | images, what a class weight applies to; ConfigError for anything else
              targets: the share of the class in a target, the smoothed share of each other class too (torch). The optimum of an image is
              then not its target: heavy classes have too much of it. torch divides by the sum of the weights if targets are class ids,
              by the number of images if they are probabilities
              images: the whole loss of an image, by its class (Keras' class_weight, S2-14); the mean is over the number of images
    """
    weight = class_weights(weights, counts, max_weight)
    if weighted not in ("targets", "images"):
        raise ConfigError(f"loss.weighted={weighted}: choose targets or images.")
    if weight is None or weighted == "targets":
        return nn.CrossEntropyLoss(weight=weight, label_smoothing=label_smoothing)
    return ImageWeightedCrossEntropy(weight, label_smoothing)


class ImageWeightedCrossEntropy(nn.Module):
    """The mean over images of their cross-entropy times the weight (C,) of their class; of mixed classes, in proportion."""

    def __init__(self, weight, label_smoothing):
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits, targets):
        losses = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing, reduction="none")
        shares = targets if targets.ndim == 2 else F.one_hot(targets, logits.shape[1])
        return ((shares.to(logits.dtype) @ self.weight) * losses).mean()


def squared_hinge(counts, weights: str = "none", max_weight: float | None = None):
    """One L2-SVM per class against all others, summed over the classes (Tang 2013, winner of the FER-2013 challenge)."""
    return SquaredHinge(class_weights(weights, counts, max_weight))


class SquaredHinge(nn.Module):
    """sum over classes of max(0, 1 -+ logit)^2, averaged over the images; weight (C,): of an image of each class in that average."""

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
    """The bias (C,) of the last layer with which an untrained network predicts the class shares of the training part (S3-4).

    It is the logarithm of each share; a class without images counts as one image.
    """
    counts = counts.clamp(min=1)
    return (counts / counts.sum()).log()
