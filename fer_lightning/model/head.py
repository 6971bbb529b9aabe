"""The head on top of every backbone: linear, norm, activation, dropout, linear (S0-9, S0-10)."""

import torch
import torch.nn.functional as F
from torch import nn

from fer_lightning.process.errors import ConfigError

ORDER = ("norm", "act", "dropout")


def make_head(num_features, num_classes, *, hidden=512, norm=nn.Identity, act=nn.ReLU, dropout=0.3, order=ORDER):
    """A head from features (B, num_features) to logits (B, num_classes).

    hidden: its width; None: only dropout and one linear layer
    norm:   (width) -> module
    act:    () -> module
    order:  of norm, act and dropout between the two linear layers; ConfigError if it does not name each once
    """
    if sorted(order) != sorted(ORDER):
        raise ConfigError(f"head.order={list(order)}: give {', '.join(ORDER)}, each once, in the order you want.")
    if hidden is None:
        head = nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_classes))
    else:
        between = {"norm": norm(hidden), "act": act(), "dropout": nn.Dropout(dropout)}
        head = nn.Sequential(nn.Linear(num_features, hidden), *(between[part] for part in order), nn.Linear(hidden, num_classes))
    head[-1].register_forward_hook(_in_float32)
    return head


def _in_float32(layer, inputs, output):
    """Evaluation computes logits in float32: in 16 bits the two largest of one image in 200 are equal, and the first class would win."""
    if layer.training or output.dtype not in (torch.bfloat16, torch.float16):
        return output
    with torch.autocast(output.device.type, enabled=False):
        return F.linear(inputs[0].float(), layer.weight.float(), layer.bias.float())
