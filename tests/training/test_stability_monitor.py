"""The stability monitor: a watched training is the unwatched one bit by bit; what it keeps against a bare loop; what a run records."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from helpers.project import TINY, TWO, compose, run_folders
from helpers.small_network import BATCHES, EPOCHS, Flat, fit, make_data, make_module
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn

from fer_lightning.config.identity import job_id
from fer_lightning.optim.schedules import one_cycle
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.stability.measures import MEASURES
from fer_lightning.training.build import build_monitor
from fer_lightning.training.stability_monitor import StabilityMonitor, _evaluating
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.prepare import InputSpec, prepare


def make_monitor(folder, data, **kwargs):
    folder.mkdir(exist_ok=True)
    return StabilityMonitor(folder, data.pixels[:16], data.labels[:16], torch.arange(16), batch_size=6, **kwargs)


def test_losses_rates_and_unclipped_norms_are_those_of_a_bare_loop(tmp_path):
    module, data = make_module(schedule=one_cycle(0.1), freeze="norms", channels_last=False), make_data()
    monitor = make_monitor(tmp_path, data)
    fit(module, data, callbacks=[monitor], gradient_clip_val=0.05)

    plain = make_module(freeze="norms")
    parameters = [p for p in plain.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, 0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, EPOCHS * BATCHES)
    rows, loader = [], data.train_dataloader()
    for epoch in range(EPOCHS):
        loader.batch_sampler.sampler.set_epoch(epoch)
        for pixels, labels, _ in loader:
            loss = F.cross_entropy(plain(prepare(pixels, InputSpec())), labels)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.cat([p.grad.flatten() for p in parameters]).norm().item()
            torch.nn.utils.clip_grad_norm_(parameters, 0.05)
            rows.append((len(rows) + 1, epoch, len(pixels), loss.item(), norm, optimizer.param_groups[0]["lr"]))
            optimizer.step()
            schedule.step()
    steps = pd.read_parquet(tmp_path / "steps.parquet")
    assert list(steps) == ["step", "epoch", "images", "loss", "grad_norm", "lr"]
    assert steps.to_numpy() == pytest.approx(pd.DataFrame(rows).to_numpy(), rel=1e-4)
    assert (steps["grad_norm"] > 0.05).all() and monitor._clip_at == 0.05


def test_accumulated_batches_are_one_step(tmp_path):
    whole, thirds = make_data(batch_size=24), make_data(batch_size=8)
    one, three = make_monitor(tmp_path / "one", whole), make_monitor(tmp_path / "three", thirds)
    fit(make_module(channels_last=False, freeze="norms"), whole, callbacks=[one])
    fit(make_module(channels_last=False, freeze="norms"), thirds, callbacks=[three], accumulate_grad_batches=3)
    assert len(three.steps) == EPOCHS
    for name in ("images", "loss", "grad_norm"):
        assert three.steps[name].to_numpy() == pytest.approx(one.steps[name].to_numpy(), rel=1e-3)


class Noisy(nn.Sequential):
    """A head that draws random numbers in training."""

    def __init__(self):
        super().__init__(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(32, 7))


@pytest.mark.parametrize("freeze", ["none", "norms", "all"])
def test_a_watched_training_is_the_unwatched_one_bit_by_bit(tmp_path, freeze):
    ends = []
    for watched in (False, True):
        module, data = make_module(freeze=freeze, augment=Augment(flip=0.5, shift=4)), make_data()
        module.head = Noisy()
        callbacks = [WeightAveraging()] + ([make_monitor(tmp_path, data, sharpness_every=4)] if watched else [])
        fit(module, data, callbacks=callbacks)
        ends.append((module.state_dict(), torch.get_rng_state(), [part.training for part in module.modules()]))
    (weights, state, modes), (watched_weights, watched_state, watched_modes) = ends
    assert all(torch.equal(value, watched_weights[key]) for key, value in weights.items())
    assert torch.equal(state, watched_state) and modes == watched_modes


def test_modes_are_put_back_one_by_one():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(3), nn.Dropout()))
    net[1][0].eval()
    before = [part.training for part in net.modules()]
    with pytest.raises(ValueError), _evaluating(net):
        assert not any(part.training for part in net.modules())
        raise ValueError
    assert [part.training for part in net.modules()] == before == [True, True, True, False, True]


def test_the_gap_is_of_the_validated_weights_and_the_units_of_the_training_ones(tmp_path):
    """Averages that are all zero answer class 0 for every image and have only inactive units; the weights in training do not."""

    def nothing(averaged, current, steps):
        for weight in averaged:
            weight.zero_()

    module, data = make_module(), make_data()
    module.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7))
    module.head[0].bias.data.fill_(50)
    monitor = make_monitor(tmp_path, data)
    fit(module, data, callbacks=[monitor, WeightAveraging(multi_avg_fn=nothing)], epochs=1)
    (epoch,) = monitor.epochs
    assert not module.head[0].bias.any()  # the averages are what the training leaves
    assert epoch["train_accuracy"] == pytest.approx(100 * (data.labels[:16] == 0).float().mean().item())
    assert epoch["dead"] == 0


def test_behind_a_frozen_backbone_only_the_head_is_watched(tmp_path):
    class Drowned(Flat):
        def __init__(self):
            super().__init__()
            self.act, self.calls = nn.ReLU(), 0

        def forward(self, pixels):
            self.calls += 1
            features = super().forward(pixels)
            return features + self.act(features - 1e6)

    dead, calls = {}, {}
    for freeze in ("none", "all"):
        module, data = make_module(), make_data()
        module.backbone, module.head = Drowned(), nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7))
        module.head[0].bias.data.fill_(50)
        module.backbone.requires_grad_(freeze == "none")
        monitor = make_monitor(tmp_path, data)
        fit(module, data, callbacks=[monitor])
        dead[freeze], calls[freeze] = monitor.epochs[-1]["dead"], module.backbone.calls
    assert dead == {"none": 1.0, "all": 0.0}
    training = EPOCHS * (BATCHES + 1)  # with one batch of validation
    assert calls == {"none": training + EPOCHS * 2 * 3, "all": training + 3}  # 16 images are three batches of 6


def test_a_step_that_half_precision_skips_is_no_step(tmp_path):
    monitor = make_monitor(tmp_path, make_data())
    monitor._losses, monitor._norms, monitor._lrs = [torch.ones(())] * 3, [torch.tensor(n) for n in (torch.inf, 1.0, 2.0)], [0.1] * 3
    monitor._images = [6] * 3
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()), current_epoch=0)
    assert monitor._gather(trainer)["grad_norm"].tolist() == [1.0, 2.0]


@pytest.fixture
def small(command, tmp_path):
    """Runs a tiny job; returns its result, metrics and steps."""

    def run(*overrides):
        done = command(*TINY, "logger=csv", *overrides)
        assert done.code == 0, done.text
        (folder,) = run_folders(tmp_path)
        return read_result(folder), read_metrics(folder), pd.read_parquet(folder / "steps.parquet")

    return run


def test_what_a_run_keeps(small):
    asked = ["stability.sharpness_every=2", "stability.probe=16"]
    result, rows, steps = small("trainer.max_epochs=3", "trainer.limit_train_batches=2", *asked)
    assert result["stability"].keys() == {*MEASURES, "label", "provisional"}
    assert result["stability"]["label"] in ("Low", "Undetermined") and result["stability"]["spk"] is None
    assert result["stability"]["dead"] == rows[-1]["stability/dead"] and 0 <= result["stability"]["dead"] <= 1
    best = min(rows, key=lambda row: row["val/loss"])
    assert result["stability"]["gap"] == pytest.approx(best["stability/gap"], abs=1e-4)
    assert result["stability"]["drift"] == pytest.approx(rows[-1]["val/loss"] - best["val/loss"], abs=1e-6)
    assert result["stability"]["eos"] == pytest.approx(rows[1]["stability/eos"]) and result["stability"]["eos"] > 0
    names = {f"stability/{name}" for name in ("spk", "gnv", "dead", "dormant", "gap", "grad_norm", "eos", "pred")}
    assert all(names <= set(row) for row in rows)  # NaN where not measured, so that the columns are there from the first epoch
    assert steps["step"].tolist() == list(range(1, 7)) and steps["epoch"].tolist() == [0, 0, 1, 1, 2, 2]
    for row in rows:
        epoch = steps[steps["epoch"] == row["epoch"]]
        assert row["stability/grad_norm"] == pytest.approx(epoch["grad_norm"].median())
        assert row["lr"] == pytest.approx(epoch["lr"].iloc[-1], abs=1e-6)


def test_sharpness_behind_a_frozen_backbone_that_computes_in_bfloat16(small):
    result, rows, _ = small("backbone.freeze=all", "precision=bf16-mixed", "stability.sharpness_every=1", "trainer.max_epochs=1")
    assert result["stability"]["eos"] == pytest.approx(rows[0]["stability/eos"]) and result["stability"]["eos"] > 0


def test_a_run_that_diverges_is_done_and_says_so(small):
    result, rows, steps = small("optimizer.lr=1e6", "scheduler=constant", "trainer.max_epochs=3", "ema_decay=null")
    assert result["status"] == "done" and result["metrics"]["test"]["n"] == 32
    assert result["stability"]["div"] is True and result["stability"]["label"] == "Low"
    assert len(rows) == 1 and not steps["loss"].max() < 100  # of three epochs: it stopped


def test_phases_are_watched_as_one_run(command, recipe, tmp_path):
    done = command(*recipe(TWO), "trainer.max_epochs=4", "scheduler=constant", "trainer.limit_train_batches=2")
    assert done.code == 0, done.text
    (folder,) = run_folders(tmp_path)
    steps = pd.read_parquet(folder / "steps.parquet")
    assert steps["step"].tolist() == list(range(1, 9)) and steps["epoch"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(read_metrics(folder)) == 4 and read_result(folder)["stability"]["gap"] is not None


def test_watching_is_no_part_of_what_is_trained():
    assert job_id(compose(*TINY)) == job_id(compose(*TINY, "stability.probe=8", "stability.sharpness_every=1"))


@pytest.mark.parametrize("wrong", ["stability.probe=0", "stability.sharpness_every=0"])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{wrong}: give a whole number, 1 or more"):
        build_monitor(compose(*TINY, wrong), None, None)
