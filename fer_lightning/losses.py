"""Losses, built from the number of training pictures per class."""

import torch
from torch import nn

from fer_lightning.errors import ConfigError


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
    """Cross-entropy on logits, smoothed and weighted."""
    return nn.CrossEntropyLoss(weight=class_weights(weights, counts, max_weight), label_smoothing=label_smoothing)
