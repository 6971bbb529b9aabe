"""A job that was stopped goes on where it was and ends as if nothing had happened, bit for bit; nothing done is done twice."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from helpers.project import TINY
from helpers.same_run import assert_same_run

from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.epoch_record import EpochRecord

SMALL = [*TINY, "logger=csv", "backbone.widths=[4,4]", "stability.probe=8"]
LONG = [*SMALL, "trainer.max_epochs=4"]

RECIPES = {
    "default": ["trainer.max_epochs=4"],
    "without averaging, two batches a step": ["trainer.max_epochs=4", "ema_decay=null", "trainer.accumulate_grad_batches=2"],
    "plateau and early stopping": ["scheduler=plateau", "scheduler.patience=0", "patience=1", "optimizer.lr=0.4", "trainer.max_epochs=6"],
    "frozen": ["trainer.max_epochs=4", "backbone.freeze=all", "augment=none", "+augment.mixup=0.4"],
    "phases": ["--config-dir=own", "recipe=staged", "trainer.max_epochs=4"],
    "frozen after it was trained": ["--config-dir=own", "recipe=stilled", "trainer.max_epochs=4"],
}

STAGED = """
# @package _global_
phases:
  a: {epochs: 2, freeze: all}
  b: {epochs: 2, freeze: norms, start: best}
"""

STILLED = """
# @package _global_
phases:
  a: {epochs: 1, freeze: none}
  b: {epochs: 3, freeze: all}
"""


@pytest.fixture
def stop_at(monkeypatch):
    """Sends this process a signal as soon as so many steps are taken; once."""

    def arm(step, signum=signal.SIGTERM):
        armed = [True]

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            count(self, trainer, module, outputs, batch, batch_idx)
            if armed and trainer.global_step == step and not trainer.fit_loop._should_accumulate():
                armed.clear()
                os.kill(os.getpid(), signum)

        monkeypatch.setattr(EpochRecord, "on_train_batch_end", on_train_batch_end)

    count = EpochRecord.on_train_batch_end
    return arm


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_stopped_twice_ends_as_one_that_was_not(command, tmp_path, stop_at, recipe):
    """Three batches an epoch: it is stopped in the middle of the second epoch, and once more at the end of the third, of a long phase."""
    (tmp_path / "own" / "recipe").mkdir(parents=True)
    for name, text in (("staged", STAGED), ("stilled", STILLED)):
        (tmp_path / "own" / "recipe" / f"{name}.yaml").write_text(text)
    job = [*RECIPES[recipe], *SMALL]
    assert command(*job, "hydra.run.dir=whole").code == 0
    steps = read_metrics(tmp_path / "whole")[-1]["step"]
    per_epoch = read_metrics(tmp_path / "whole")[0]["step"]
    before = 1 if recipe == "frozen after it was trained" else 0  # epochs count on from phase to phase, steps do not
    for step in (per_epoch + 1, 3 * per_epoch):
        stop_at(step)
        done = command(*job, "hydra.run.dir=stopped")
        if step < steps:
            assert done.code == 143, done.text
            assert read_result(tmp_path / "stopped")["status"] == "interrupted"
    done = command(*job, "hydra.run.dir=stopped")
    assert done.code == 0, done.text
    came = [(entry["epochs"], entry["step"]) for entry in read_result(tmp_path / "stopped")["resumed"]]
    assert came == [(before + 1, per_epoch + 1), (before + 3, 3 * per_epoch)][: len(came)] and came
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_backbone_that_is_never_trained_is_in_the_last_checkpoint_alone(command, tmp_path, stop_at):
    job = [*SMALL, *RECIPES["frozen"], "hydra.run.dir=run"]
    stop_at(4)
    assert command(*job).code == 143
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    for state in (kept["state_dict"], kept["current_model_state"]):
        assert state and all(name.startswith("head.") for name in state)
    path = tmp_path / "run" / "result.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"model": record["model"] | {"frozen_weights": "of another release"}}))
    done = command(*job)
    assert done.code == 0 and "the model changed since this job was stopped, so it starts from the beginning" in done.text
    assert any(name.startswith("backbone.") for name in torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt")["state_dict"])


KILLS = """
    import os, signal, sys
    from fer_lightning.sweep.command import main
    from fer_lightning.training import resume, train
    point = sys.argv.pop(1)

    def dies(module, name, after=False):
        call = getattr(module, name)
        def dead(*args, **kwargs):
            result = call(*args, **kwargs) if after else None
            os.kill(os.getpid(), signal.SIGKILL)
        setattr(module, name, dead)

    def dies_at(step):
        hook = resume.Continuation.on_train_batch_end
        def dead(self, trainer, *args):
            if trainer.global_step == step:
                os.kill(os.getpid(), signal.SIGKILL)
            hook(self, trainer, *args)
        resume.Continuation.on_train_batch_end = dead

    {
        "in the first epoch": lambda: dies_at(2),
        "in the third epoch": lambda: dies_at(8),
        "between row and checkpoint": lambda: dies(resume.Continuation, "on_train_epoch_end"),
        "before the test": lambda: dies(train, "load_selected"),
        "after the test": lambda: dies(train, "epoch_scores"),
        "after the result": lambda: dies(train, "drop_unfinished"),
    }[point]()
    main()
"""


@pytest.mark.parametrize(
    ("point", "epochs"),
    [
        pytest.param("in the first epoch", None, marks=pytest.mark.slow),
        ("in the third epoch", 2),
        ("between row and checkpoint", None),
        pytest.param("before the test", 4, marks=pytest.mark.slow),
        pytest.param("after the test", 4, marks=pytest.mark.slow),
        pytest.param("after the result", "done", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_loses_the_epoch_under_way_at_most(command, tmp_path, point, epochs):
    assert command(*LONG, "hydra.run.dir=whole").code == 0
    killed = [*LONG, "hydra.run.dir=killed"]
    dead = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLS), point, *killed], cwd=tmp_path, capture_output=True, text=True)
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    done = command(*killed)
    assert done.code == 0, done.text
    resumed = [entry["epochs"] for entry in read_result(tmp_path / "killed").get("resumed", [])]
    if epochs == "done":
        assert "already done" in done.text and not resumed
    else:
        assert resumed == ([] if epochs is None else [epochs])
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_run_that_goes_on_keeps_its_wandb_run(command, tmp_path, stop_at):
    """Offline, each try leaves a file; the newest, which is the one that is uploaded, has the id of the first and every epoch."""
    job = [*SMALL, "trainer.max_epochs=3", "logger=wandb", "hydra.run.dir=run"]
    stop_at(7)
    assert command(*job).code == 143
    assert command(*job).code == 0
    first, last = sorted((tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb"), key=lambda file: file.stat().st_mtime)
    assert first.name == last.name
    tool = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(last)]
    lines = subprocess.run(tool, capture_output=True, text=True, check=True).stdout.splitlines()
    history = [record["history"] for record in map(json.loads, lines) if record["type"] == "history"]
    logged = [row for row in map(str, history) if "val/accuracy" in row]
    assert len(logged) == 3, history
