import sys

import pytest
from helpers.project import TINY, squeeze

from fer_lightning.plan import main
from fer_lightning.process.errors import ConfigError
from fer_lightning.sweep import planning
from fer_lightning.sweep.planning import Cost, estimates, plan, probe


def test_the_jobs_of_a_grid_are_listed_without_running_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["plan", "head.act=relu,gelu", "-m", "seed=0,1", *TINY])
    main()
    text = capsys.readouterr().out
    assert "4 jobs" in text and "gelu-s1" in text and "in all on this machine" in squeeze(text)
    assert not (tmp_path / "multirun").exists() and not (tmp_path / "outputs").exists()


def test_the_plan_names_what_the_sweep_will_name():
    jobs = plan(["head.act=relu,gelu", "head.norm=none,bn", *TINY])
    assert list(jobs) == ["relu-none-s0", "relu-bn-s0", "gelu-none-s0", "gelu-bn-s0"]
    assert jobs["gelu-bn-s0"].head.act._target_ == "torch.nn.GELU"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["study=adhoc,adhoc"], "One study per command"),
        (["head.act=[relu,gelu]"], "chooses several options for one run"),
        (["hydra/sweeper=optuna", "optimizer.lr=interval(0.1,1)"], "chooses its jobs as it goes"),
    ],
)
def test_what_a_sweep_refuses_a_plan_refuses(overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        plan([*overrides, *TINY])


def test_wrong_input_is_refused(process):
    done = process("fer_lightning.plan", "head.act=rellu")
    assert done.code == 1 and "Did you mean relu" in done.text and "Traceback" not in done.text
    done = process("fer_lightning.plan")
    assert done.code == 1 and "required: OVERRIDE. See python -m fer_lightning.plan --help" in done.text


def made(monkeypatch, overrides, *costs):
    """The seconds of the jobs of these overrides with 1,000 images, from made-up costs."""
    monkeypatch.setattr(planning, "probe", lambda cfg: ({}, costs))
    return [seconds for _, seconds in estimates(plan(overrides), 1000).values()]


def test_ten_crops_cost_ten_times(monkeypatch):
    trains = Cost(epochs=3, step=0.01, features=0.0, untouched=False)
    assert made(monkeypatch, ["recipe=four_stage_vgg"], trains) == [pytest.approx(3 * 1000 * 10 * 0.01)]
    assert made(monkeypatch, ["recipe=four_stage_vgg", "augment.crops=five_crop"], trains) == [pytest.approx(3 * 1000 * 5 * 0.01)]
    assert made(monkeypatch, ["augment=flip_shift"], trains) == [pytest.approx(3 * 1000 * 0.01)]
    assert made(monkeypatch, ["augment=flip", "trainer.limit_train_batches=2", "batch_size=50"], trains) == [pytest.approx(3 * 100 * 0.01)]
    assert made(monkeypatch, ["augment=flip", "trainer.limit_train_batches=0.5"], trains) == [pytest.approx(3 * 500 * 0.01)]


GRID = ["head.act=relu,gelu,swish,mish", "head.norm=none,bn", "backbone=beit_large", "backbone.freeze=all"]


@pytest.mark.parametrize(
    ("augment", "passes"),
    [("none", 1), ("flip", 2), ("flip_shift", 4)],  # of the epochs, 4, each has images of its own if it augments them
)
def test_the_features_of_a_frozen_backbone_are_computed_once_for_all_jobs_that_share_them(augment, passes, monkeypatch):
    frozen = Cost(epochs=4, step=0.001, features=1.0, untouched=True)
    head, features = 4 * 1000 * 0.001, passes * 1000 * 1.0
    grid = [*GRID, f"augment={augment}"]
    assert made(monkeypatch, grid, frozen) == pytest.approx([head + features] + [head] * 7)
    seeds = made(monkeypatch, [*grid, "seed=0,1"], frozen)
    assert sum(seeds) == pytest.approx(16 * head + (1 if augment in ("none", "flip") else 2) * features)
    drawn = made(monkeypatch, [*grid, "seed=0,1", "backbone.pretrained=false"], frozen)
    assert sum(drawn) == pytest.approx(16 * head + 2 * features)
    later = made(monkeypatch, grid, frozen._replace(untouched=False))  # after a phase that trained it, each job has its own
    assert later == pytest.approx([head + features] * 8)


def test_a_probe_measures_the_head_alone_and_the_features_apart():
    (cfg,) = plan([*TINY, "backbone.freeze=all", "head.act=relu"]).values()
    _, (cost,) = probe(cfg)
    assert cost.untouched and cost.step > 0 and cost.features > 0
    (cfg,) = plan([*TINY, "head.act=relu", "train_sizes=[24,48]"]).values()
    _, (cost,) = probe(cfg)
    assert not cost.untouched and cost.features == 0 < cost.step
