import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fer_lightning.errors import ConfigError
from fer_lightning.head import make_head
from fer_lightning.losses import class_weights, cross_entropy

TRAINING = torch.tensor([3995, 436, 4097, 7215, 4830, 3171, 4965])


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_of_the_checklist():
    assert count(make_head(1024, 7)) == 528_391  # S0-9
    assert count(make_head(1024, 7, norm=nn.BatchNorm1d)) == 529_415  # S0-9
    assert count(make_head(1024, 7, hidden=None)) == 7_175  # S0-41


def test_order_is_linear_norm_act_dropout_linear():
    head = make_head(8, 7, hidden=16, norm=nn.LayerNorm, act=nn.Mish, dropout=0.4)
    assert [type(layer) for layer in head] == [nn.Linear, nn.LayerNorm, nn.Mish, nn.Dropout, nn.Linear]
    assert head[3].p == 0.4
    assert head(torch.zeros(3, 8)).shape == (3, 7)


def test_balanced_weights_of_the_checklist():
    weights = class_weights("balanced", TRAINING)
    assert weights.tolist() == pytest.approx([1.027, 9.407, 1.001, 0.568, 0.849, 1.293, 0.826], abs=5e-4)  # A.1
    assert class_weights("balanced", TRAINING, maximum=4.0)[1] == 4.0  # S2-15: only disgust is clipped
    assert (class_weights("balanced", TRAINING, maximum=4.0) == weights).sum() == 6


def test_inverse_weights_are_proportional_to_one_over_the_count():
    weights = class_weights("inverse", TRAINING)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights * TRAINING).std() / (weights * TRAINING).mean() < 1e-6


def test_a_class_without_pictures_weighs_nothing():
    assert class_weights("balanced", torch.tensor([2, 0, 2, 2, 2, 2, 2]))[1] == 0


def test_wrong_kind_is_refused_by_its_key():
    with pytest.raises(ConfigError, match="loss.weights=balance: choose none, balanced or inverse"):
        class_weights("balance", TRAINING)


def test_loss_is_torchs():
    logits, labels = torch.randn(32, 7), torch.randint(0, 7, (32,))
    loss = cross_entropy(TRAINING, label_smoothing=0.06, weights="balanced", max_weight=4.0)
    expected = F.cross_entropy(logits, labels, weight=class_weights("balanced", TRAINING, 4.0), label_smoothing=0.06)
    assert torch.equal(loss(logits, labels), expected)
    assert torch.equal(cross_entropy(TRAINING)(logits, labels), F.cross_entropy(logits, labels))
