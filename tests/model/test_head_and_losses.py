import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fer_lightning.model.head import make_head
from fer_lightning.model.losses import class_weights, cross_entropy, prior_bias, squared_hinge
from fer_lightning.process.errors import ConfigError

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


def test_order_is_a_config_value():
    head = make_head(8, 7, hidden=16, norm=nn.BatchNorm1d, act=nn.GELU, order=["dropout", "act", "norm"])
    assert [type(layer) for layer in head] == [nn.Linear, nn.Dropout, nn.GELU, nn.BatchNorm1d, nn.Linear]
    with pytest.raises(ConfigError, match=r"head.order=\['norm', 'act'\]: give norm, act, dropout, each once"):
        make_head(8, 7, order=["norm", "act"])


def test_balanced_weights_of_the_checklist():
    weights = class_weights("balanced", TRAINING)
    assert weights.tolist() == pytest.approx([1.027, 9.407, 1.001, 0.568, 0.849, 1.293, 0.826], abs=5e-4)  # A.1
    assert class_weights("balanced", TRAINING, maximum=4.0)[1] == 4.0  # S2-15: only disgust is clipped
    assert (class_weights("balanced", TRAINING, maximum=4.0) == weights).sum() == 6


def test_inverse_weights_are_proportional_to_one_over_the_count():
    weights = class_weights("inverse", TRAINING)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights * TRAINING).std() / (weights * TRAINING).mean() < 1e-6


def test_a_class_without_images_weighs_nothing():
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


def test_cross_entropy_takes_probabilities():
    logits, targets = torch.randn(32, 7), torch.rand(32, 7).softmax(1)
    expected = F.cross_entropy(logits, targets, weight=class_weights("balanced", TRAINING), label_smoothing=0.1)
    assert torch.equal(cross_entropy(TRAINING, 0.1, "balanced")(logits, targets), expected)
    weighted = -(targets * logits.log_softmax(1) * class_weights("balanced", TRAINING)).sum(1).mean()
    torch.testing.assert_close(cross_entropy(TRAINING, weights="balanced")(logits, targets), weighted)


def test_the_optimum_of_one_image_is_its_smoothed_target_if_its_weight_is_the_whole_loss():
    """S2-14, S2-15, of a happy image, by hand: 0.949 and 0.009 with Keras' class_weight; torch gives disgust 0.056 of it."""
    happy, disgust, smooth = 3, 1, 0.06 / 7
    shares = torch.full((7,), smooth) + (1 - 0.06) * F.one_hot(torch.tensor(happy), 7)
    skewed = shares * class_weights("balanced", TRAINING, 4.0)
    for weighted, target, best, disgusted in (("images", shares, 0.949, 0.009), ("targets", skewed / skewed.sum(), 0.875, 0.056)):
        loss = cross_entropy(TRAINING, label_smoothing=0.06, weights="balanced", max_weight=4.0, weighted=weighted)
        assert target[[happy, disgust]].tolist() == pytest.approx([best, disgusted], abs=5e-4)
        logits = target.log()[None].requires_grad_()
        loss(logits, torch.tensor([happy])).backward()
        assert logits.grad.abs().max() < 1e-6  # the target is where the loss is least


def test_weighted_images_are_averaged_as_keras_averages_them():
    logits, labels = torch.randn(32, 7), torch.randint(0, 7, (32,))
    weight = class_weights("balanced", TRAINING, 4.0)
    loss = cross_entropy(TRAINING, 0.06, "balanced", max_weight=4.0, weighted="images")
    smoothed = 0.94 * F.one_hot(labels, 7) + 0.06 / 7
    expected = (weight[labels] * -(smoothed * logits.log_softmax(1)).sum(1)).sum() / 32
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(loss(logits, F.one_hot(labels, 7).float()), expected)
    first, second = torch.tensor([2]), torch.tensor([5])
    mixed = 0.3 * F.one_hot(first, 7) + 0.7 * F.one_hot(second, 7)
    of_both = 0.3 * weight[2] + 0.7 * weight[5]
    torch.testing.assert_close(loss(logits[:1], mixed), of_both * F.cross_entropy(logits[:1], mixed, label_smoothing=0.06))
    assert not loss.state_dict()
    plain = cross_entropy(TRAINING, 0.06, weighted="images")
    assert torch.equal(plain(logits, labels), F.cross_entropy(logits, labels, label_smoothing=0.06))
    with pytest.raises(ConfigError, match="loss.weighted=pictures: choose targets or images"):
        cross_entropy(TRAINING, weighted="pictures")


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_squared_hinge_is_one_svm_a_class(weights):
    logits, labels = torch.randn(32, 7, dtype=torch.float64) * 2, torch.randint(0, 7, (32,))
    share = torch.ones(7) if weights == "none" else class_weights(weights, TRAINING, 4.0)
    total = mass = 0.0
    for row, label in zip(logits.tolist(), labels.tolist()):
        for k, logit in enumerate(row):
            total += share[label].item() * max(0.0, 1 - logit * (1 if k == label else -1)) ** 2
        mass += share[label].item()
    loss = squared_hinge(TRAINING, weights, 4.0)
    assert loss(logits.float(), labels).item() == pytest.approx(total / mass, rel=1e-5)
    assert loss(logits.float(), F.one_hot(labels, 7).float()).item() == pytest.approx(total / mass, rel=1e-5)


def test_squared_hinge_of_mixed_targets_is_the_mixed_loss():
    logits, first, second = torch.randn(1, 7), torch.tensor([2]), torch.tensor([5])
    targets = 0.3 * F.one_hot(first, 7) + 0.7 * F.one_hot(second, 7)
    loss = squared_hinge(TRAINING)
    torch.testing.assert_close(loss(logits, targets), 0.3 * loss(logits, first) + 0.7 * loss(logits, second))
    assert loss(torch.where(F.one_hot(first, 7) > 0, 1.5, -1.0), first) == 0


def test_squared_hinge_has_a_gradient_and_nothing_to_save():
    logits = torch.zeros(4, 7, requires_grad=True)
    loss = squared_hinge(TRAINING, "balanced")
    loss(logits, torch.arange(4)).backward()
    assert (logits.grad[torch.arange(4), torch.arange(4)] < 0).all() and (logits.grad.sum() > 0)
    assert not loss.state_dict()


def test_prior_bias_answers_the_class_shares():
    bias = prior_bias(TRAINING)
    torch.testing.assert_close(bias.softmax(0), TRAINING / TRAINING.sum())
    assert bias.isfinite().all() and prior_bias(torch.tensor([3, 0, 3, 3, 3, 3, 3])).isfinite().all()


@pytest.mark.parametrize("hidden", [16, None])
@pytest.mark.parametrize("dtype", ["autocast", torch.bfloat16])
def test_evaluation_has_no_ties_of_logits_that_bfloat16_rounds_to_one(hidden, dtype):
    """bfloat16 has 128 values between two powers of two: the two largest of seven logits are often one number, and the first would win."""
    torch.manual_seed(0)
    head, features = make_head(32, 7, hidden=hidden, dropout=0.0), torch.randn(4000, 32)
    if dtype is torch.bfloat16:
        head, features = head.bfloat16(), features.bfloat16()
    for training in (True, False):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "autocast"):
            logits = head.train(training)(features)
        two = logits.topk(2).values
        ties = int((two[:, 0] == two[:, 1]).sum())
        assert (ties > 10 and logits.dtype == torch.bfloat16) if training else (ties == 0 and logits.dtype == torch.float32)
