"""Phases: their share of the epochs, what they freeze bit by bit, which weights they start from."""

import pytest
import torch
from helpers.project import TWO, run_folders
from helpers.small_network import make_data, make_module
from hypothesis import given
from hypothesis import strategies as st

from fer_lightning.optim.schedules import constant
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.phases import Phase, share_epochs


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.integers(0, 300))
def test_shares_make_up_the_budget(epochs, more):
    total = len(epochs) + more
    shares = share_epochs(epochs, total)
    assert sum(shares) == total and min(shares) >= 1
    assert share_epochs(epochs, sum(epochs)) == epochs
    assert all(abs(s - e * total / sum(epochs)) <= max(1, len(epochs)) for s, e in zip(shares, epochs, strict=True))


def test_a_budget_below_one_epoch_a_phase_is_refused():
    with pytest.raises(ConfigError, match="max_epochs=1 is too few for 2 phases"):
        share_epochs([3, 7], 1)


@pytest.mark.parametrize("wrong", [{"freeze": "some"}, {"data": "test"}, {"start": "first"}])
def test_a_wrong_word_names_phase_and_choices(wrong):
    ((key, value),) = wrong.items()
    with pytest.raises(ConfigError, match=f"phase x: {key}={value}: choose"):
        Phase("x", 1, None, None, **wrong)


def test_frozen_norms_keep_weights_and_statistics_and_the_rest_learns():
    module = make_module(freeze="norms")
    before = {key: value.clone() for key, value in module.state_dict().items()}
    from helpers.small_network import fit

    fit(module, make_data())
    same = {key for key, value in module.state_dict().items() if torch.equal(value, before[key])}
    assert same == {key for key in before if "norm" in key} and len(same) == 5


def test_a_later_phase_thaws_what_an_earlier_one_froze():
    module = make_module(freeze="all")
    module.enter(Phase("next", 1, module.phase.optimizer, constant(), freeze="none"))
    assert all(p.requires_grad for p in module.parameters()) and module.backbone.norm.training
    module.enter(Phase("after", 1, module.phase.optimizer, constant(), freeze="norms"))
    assert not module.backbone.norm.training and not module.backbone.norm.weight.requires_grad and module.backbone.conv.weight.requires_grad


def test_two_phases_are_one_run(command, recipe, tmp_path):
    done = command(*recipe(TWO), "trainer.max_epochs=10", "scheduler=constant")
    assert done.code == 0, done.text
    assert "phase 1_head: 3 epochs, frozen: all" in done.text and "phase 2_rest: 7 epochs, frozen: norms" in done.text
    (folder,) = run_folders(tmp_path)
    rows = read_metrics(folder)
    assert [row["epoch"] for row in rows] == list(range(10))
    assert [row["lr"] for row in rows] == pytest.approx([0.1] * 3 + [0.001] * 7)
    result = read_result(folder)
    assert result["phases"] == {"1_head": 0, "2_rest": 3}, "the first epoch of each"
    assert result["selected"]["epoch"] == max(rows[3:], key=lambda row: row["val/accuracy"])["epoch"]  # within the last phase
    assert result["metrics"]["val"]["accuracy"] == pytest.approx(result["selected"]["value"])


def test_a_phase_on_train_and_val_cannot_select(command, recipe, tmp_path):
    done = command(*recipe("phases:\n  1_first: {epochs: 1}\n  2_tune: {epochs: 1, data: train+val}\n"))
    assert done.code == 0, done.text
    (folder,) = run_folders(tmp_path)
    result = read_result(folder)
    assert result["selected"] == {"epoch": 1, "monitor": None, "value": None}
    assert result["metrics"]["val"] is None and result["metrics"]["test"]["n"] == 32
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == 1  # the last one


def test_the_second_phase_sees_more_images():
    data = make_data(n=24, batch_size=8)
    data.enter(Phase("a", 1, None, None))
    assert len(data.train_dataloader()) == 3 and data.selects and len(data.val_dataloader()) == 1
    data.enter(Phase("b", 1, None, None, data="train+val"))
    assert len(data.train_dataloader()) == 4 and not data.selects and data.val_dataloader() == []


def test_a_wrong_phase_is_refused(command, recipe):
    done = command(*recipe("phases:\n  head: {epochs: 1, freze: all}\n"))
    assert done.code == 1 and "freze" in done.text and "Did you mean freeze?" in done.text
    done = command(*recipe("phases:\n  a: {epochs: 1, start: best}\n"))
    assert done.code == 1 and "phase a: start=best: no phase comes before it" in done.text
    done = command(*recipe("phases:\n  a: {epochs: 1, freeze: half}\n"))
    assert done.code == 1 and "phase a: freeze=half: choose none, all or norms" in done.text


