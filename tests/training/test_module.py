"""Optimizers and schedules, each shipped config, step by step against plain torch; freezing, bit by bit."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from helpers.project import TINY, compose, options
from helpers.small_network import BATCHES, EPOCHS, fit, make_data, make_module
from hydra.utils import instantiate
from torch import nn
from torch.optim import lr_scheduler
from torch.optim._muon import _zeropower_via_newtonschulz

from fer_lightning.model.backbones.compact import CompactCNN
from fer_lightning.model.description import describe
from fer_lightning.optim.schedules import Schedule, constant, plateau
from fer_lightning.process.errors import ConfigError
from fer_lightning.training.build import build_module
from fer_lightning.training.module import FERModule
from fer_lightning.transforms.prepare import InputSpec, prepare
from fer_lightning.transforms.views import Views


class Rates:
    """Records the learning rate that each optimizer step uses."""

    def __init__(self, make):
        self.make = make
        self.seen = []

    def __call__(self, parameters):
        optimizer = self.make(parameters)
        optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: self.seen.append(optimizer.param_groups[0]["lr"]))
        return optimizer


class PlainMuon:
    """What optimizer=muon is to do, with the iteration of torch's own Muon."""

    def __init__(self, parameters):
        parameters = list(parameters)
        self.filters = {p: torch.zeros_like(p).flatten(1) for p in parameters if p.ndim == 4}
        rest = [p for p in parameters if p.ndim != 4]
        self.sgd = torch.optim.SGD(rest, 0.08, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def zero_grad(self):
        self.sgd.zero_grad()
        for p in self.filters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        self.sgd.step()
        for p, average in self.filters.items():
            average.mul_(0.6).add_(p.grad.flatten(1))
            turn = _zeropower_via_newtonschulz(p.grad.flatten(1) + 0.6 * average, (3.4445, -4.7750, 2.0315), 5, 1e-7)
            p.copy_(p * len(p) ** 0.5 / p.norm() - 0.08 * turn.view_as(p).float())


PLAIN_OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=5e-4),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "asgd": lambda p: torch.optim.ASGD(p, 0.01, weight_decay=1e-4),
    "adam": lambda p: torch.optim.Adam(p, 0.001),
    "amsgrad": lambda p: torch.optim.Adam(p, 0.001, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.001, weight_decay=0.05),
    "adadelta": lambda p: torch.optim.Adadelta(p, 1.0),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
    "muon": PlainMuon,
}


def test_every_shipped_optimizer_and_schedule_is_checked_here():
    assert options("optimizer") == sorted(PLAIN_OPTIMIZERS)
    assert options("scheduler") == sorted(PLAIN_SCHEDULES)


@pytest.mark.parametrize("name", PLAIN_OPTIMIZERS)
def test_optimizer_takes_the_steps_of_plain_torch(name):
    module, data = make_module(instantiate(compose(f"optimizer={name}").optimizer), channels_last=False), make_data()
    fit(module, data)

    plain = make_module()
    optimizer = PLAIN_OPTIMIZERS[name](plain.parameters())
    loader = data.train_dataloader()
    for epoch in range(EPOCHS):
        loader.batch_sampler.sampler.set_epoch(epoch)
        for pixels, labels, _ in loader:
            loss = F.cross_entropy(plain(prepare(pixels, InputSpec())), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    tolerance = 5e-3 if name == "muon" else 1e-6  # bfloat16: its steps are of 0.009 an entry
    for (key, ours), theirs in zip(module.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda text, key=key: f"{key}: {text}", rtol=1e-5, atol=tolerance)


PLAIN_SCHEDULES = {
    "constant": ("epoch", lambda o, total: lr_scheduler.ConstantLR(o, 1.0)),
    "step": ("epoch", lambda o, total: lr_scheduler.StepLR(o, 2, 0.5)),
    "cosine": ("step", lambda o, total: lr_scheduler.CosineAnnealingLR(o, total)),
    "cosine_warm_restarts": ("epoch", lambda o, total: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 1, 1e-6)),
    "one_cycle": (
        "step",
        lambda o, total: lr_scheduler.OneCycleLR(o, 0.1, total, pct_start=0.2, anneal_strategy="linear", cycle_momentum=False),
    ),
    "plateau": ("epoch", None),  # these watch a metric: checked on their own below
    "plateau_tenth": ("epoch", None),
    "plateau_third": ("epoch", None),
}
SHORTER = {"step": ["scheduler.step_size=2"], "cosine_warm_restarts": ["scheduler.first_period=2"]}


@pytest.mark.parametrize("name", [name for name, (_, plain) in PLAIN_SCHEDULES.items() if plain])
def test_schedule_gives_the_rates_of_plain_torch(name):
    cfg = compose(f"scheduler={name}", "optimizer=sgd", *SHORTER.get(name, []))
    rates = Rates(instantiate(cfg.optimizer))
    fit(make_module(rates, instantiate(cfg.scheduler)), make_data())

    interval, plain = PLAIN_SCHEDULES[name]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = plain(optimizer, EPOCHS * BATCHES if interval == "step" else EPOCHS)
    expected = []
    for _ in range(EPOCHS):
        for _ in range(BATCHES):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if interval == "step":
                scheduler.step()
        if interval == "epoch":
            scheduler.step()
    assert rates.seen == pytest.approx(expected, rel=1e-12)


def test_plateau_lowers_the_rate_when_the_metric_stands_still():
    rates = Rates(lambda parameters: torch.optim.SGD(parameters, 1.0))
    module = make_module(rates, plateau("val/accuracy", "max", factor=0.1, patience=1))
    module.on_validation_epoch_end = lambda: module.log("val/accuracy", 0.5)
    fit(module, make_data(), epochs=6)

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.1, 1)
    expected = []
    for _ in range(6):
        expected += [optimizer.param_groups[0]["lr"]] * BATCHES
        scheduler.step(0.5)
    assert rates.seen == pytest.approx(expected)
    assert rates.seen[0] == 1.0 and rates.seen[-1] < 0.02


def keras_rates(scores, *, better, factor, patience, min_delta=1e-4):
    """The rate after each epoch by the arithmetic of keras.callbacks.ReduceLROnPlateau, from a rate of 1."""
    rate, best, wait, rates = 1.0, -better * float("inf"), 0, []
    for score in scores:
        wait += 1
        if better * score > better * best + min_delta:
            best, wait = score, 0
        elif wait >= patience:
            rate, wait = rate * factor, 0
        rates.append(rate)
    return rates


@pytest.mark.parametrize(
    ("name", "better", "factor", "patience"), [("plateau_tenth", 1, 0.1, 4), ("plateau_third", -1, 0.3, 2)]  # S3-16, S2-17
)
@pytest.mark.parametrize("seed", range(6))
def test_the_plateaus_of_keras_papers_count_as_keras(name, better, factor, patience, seed):
    schedule = instantiate(compose(f"scheduler={name}").scheduler)
    scores = [0.5] * 12 if seed == 0 else (5 + torch.randn(40, generator=torch.Generator().manual_seed(seed)).mul(2e-4).cumsum(0)).tolist()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    scheduler = schedule.build(optimizer, len(scores))
    rates = []
    for score in scores:
        scheduler.step(score)
        rates.append(optimizer.param_groups[0]["lr"])
    expected = keras_rates(scores, better=better, factor=factor, patience=patience)
    # torch leaves out a step of less than 1e-8.
    assert [rate for rate in rates if rate > 1e-7] == pytest.approx([rate for rate in expected if rate > 1e-7])
    if seed == 0:
        assert rates.index(factor) == patience  # after so many epochs without a better score


def test_total_steps_count_accumulation():
    seen = []
    schedule = Schedule(lambda optimizer, total: seen.append(total) or lr_scheduler.ConstantLR(optimizer, 1.0), "step")
    fit(make_module(schedule=schedule), make_data(), accumulate_grad_batches=2)
    assert seen == [EPOCHS * 2]  # three batches an epoch, accumulated by two: two optimizer steps


def test_wrong_interval_is_refused():
    with pytest.raises(ConfigError, match="scheduler.interval=batch: choose step or epoch"):
        constant(interval="batch")
    with pytest.raises(ConfigError, match="must be epoch"):
        plateau("val/loss", "min", factor=0.1, patience=2, interval="step")
    with pytest.raises(ConfigError, match="scheduler.monitor=val/acc: there is no such score. Did you mean val/accuracy"):
        plateau("val/acc", "max", factor=0.1, patience=2)
    with pytest.raises(ConfigError, match="scheduler.threshold_mode=absolute: choose rel or abs"):
        plateau("val/loss", "min", factor=0.1, patience=2, threshold_mode="absolute")
    with pytest.raises(ConfigError, match="set scheduler.mode=min"):
        plateau("val/loss", "max", factor=0.1, patience=2)


def test_a_frozen_backbone_keeps_every_bit_and_the_head_learns():
    module = make_module(freeze="all")
    before = {key: value.clone() for key, value in module.state_dict().items()}
    fit(module, make_data())
    changed = {key for key, value in module.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"head.weight", "head.bias"}  # no backbone weight, and no running mean, variance or count of its norm
    assert all(p.grad is None for p in module.backbone.parameters())


def test_an_unfrozen_backbone_learns_and_counts():
    module = make_module()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    fit(module, make_data())
    assert all(not torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_wrong_freeze_is_refused():
    with pytest.raises(ConfigError, match="freeze=half: choose none, all or norms"):
        make_module(freeze="half")


def test_equal_seeds_give_equal_weights_and_other_seeds_others():
    def noise(pixels, labels):
        return torch.where(torch.rand(pixels.shape) < 0.3, 0, pixels), labels

    def weights(seed):
        module = make_module(augment=noise, seed=seed)
        fit(module, make_data())
        return torch.cat([p.flatten() for p in module.parameters()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


def test_a_last_batch_of_one_trains():
    module = make_module()
    module.head = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 7))
    fit(module, make_data(n=17, batch_size=8), epochs=1)
    assert module.trainer.global_step == 2


def test_prepare_scales_resizes_and_expands():
    pixels = torch.randint(0, 256, (2, 1, 48, 48), dtype=torch.uint8)
    spec = InputSpec(size=48, channels=3, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    from torchvision.transforms.v2 import functional as tv

    expected = tv.normalize(pixels.expand(-1, 3, -1, -1).float() / 255, spec.mean, spec.std)
    torch.testing.assert_close(prepare(pixels, spec), expected)
    resized = prepare(pixels, InputSpec(size=96, mean=(0.0,), std=(1 / 255,)))
    wanted = tv.resize(pixels.float(), [96, 96], tv.InterpolationMode.BICUBIC, antialias=True).clamp(0, 255)
    torch.testing.assert_close(resized, wanted, rtol=1e-4, atol=1e-2)


def test_logits_are_averaged_over_the_views_and_features_are_not():
    module = make_module().eval()
    module.views = Views("ten_crop", 40)
    pixels = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    each = [module(prepare(view, InputSpec())) for view in Views("ten_crop", 40).expand(pixels).split(3)]
    torch.testing.assert_close(module.logits(pixels), torch.stack(each).mean(0))
    assert module.features(pixels).shape == (30, 6)


def test_no_config_reaches_the_module():
    assert not {"cfg", "config"} & set(inspect.signature(FERModule).parameters)


def test_a_backbone_that_breaks_the_contract_is_named(monkeypatch):
    cfg = compose(*TINY)
    monkeypatch.setattr(CompactCNN, "forward", lambda self, x: x.flatten(1))
    with pytest.raises(ConfigError, match=r"backbone CompactCNN turns one image into \(1, 2304\); its num_features says \(1, 16\)"):
        describe(build_module(cfg, torch.ones(7)))
    monkeypatch.setattr("fer_lightning.training.build.build", lambda node, key: nn.Flatten())
    with pytest.raises(ConfigError, match="CompactCNN has no num_features and no input_spec. A backbone needs"):
        build_module(cfg, torch.ones(7))
