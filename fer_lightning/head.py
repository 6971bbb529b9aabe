"""The head on top of every backbone: linear, norm, act, dropout, linear (checklist S0-9, S0-10)."""

from torch import nn


def make_head(num_features, num_classes, hidden=512, norm=nn.Identity, act=nn.ReLU, dropout=0.3):
    """A head from (B, num_features) to (B, num_classes) logits.

    hidden: its width; None leaves dropout and one linear layer
    norm:   called with the width
    act:    called without arguments
    """
    if hidden is None:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_classes))
    return nn.Sequential(nn.Linear(num_features, hidden), norm(hidden), act(), nn.Dropout(dropout), nn.Linear(hidden, num_classes))
