"""What goes wrong in a job is recorded as what it is, and costs no other job anything."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from helpers.project import TINY

from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result

SMALL = [*TINY, "logger=csv", "backbone.widths=[4,4]", "stability.probe=8"]


def study_of(root):
    (study,) = (root / "multirun").iterdir()
    return study


def test_a_run_that_diverges_stops_and_that_is_its_result(command, tmp_path):
    """At a rate of 1e30 nothing is a number after the first step; the run of the good rate is untouched, and so is the report."""
    done = command("-m", "optimizer.lr=0.01,1e30", "seed=0,1", *SMALL, "scheduler=constant")
    assert done.code == 0, done.text
    assert "diverged: loss or gradient became NaN or infinite" in done.text
    study = study_of(tmp_path)
    for seed in (0, 1):
        bad = read_result(study / f"lr1e+30-s{seed}")
        assert bad["status"] == "done" and bad["stability"]["div"] and bad["stability"]["label"] == "Low"
        assert len(read_metrics(study / f"lr1e+30-s{seed}")) == 1  # of two
        assert not read_result(study / f"lr0.01-s{seed}")["stability"]["div"]
        assert len(read_metrics(study / f"lr0.01-s{seed}")) == 2
    report = (study / "report.md").read_text()
    assert "4 of 4 jobs done" in report and "Diverged" in report


def test_weights_that_are_no_numbers_are_never_the_best(command, tmp_path, monkeypatch):
    """From the second epoch on the loss is NaN: the first epoch is selected, whatever its accuracy is."""
    from fer_lightning.training.module import FERModule

    step = FERModule.training_step

    def poisoned(self, batch, batch_idx):
        loss = step(self, batch, batch_idx)
        return loss * float("nan") if self.current_epoch == 1 else loss

    monkeypatch.setattr(FERModule, "training_step", poisoned)
    done = command(*SMALL, "trainer.max_epochs=5", "hydra.run.dir=run", "ema_decay=null")
    assert done.code == 0, done.text
    result = read_result(tmp_path / "run")
    assert result["selected"]["epoch"] == 0 and result["stability"]["div"]
    assert len(read_metrics(tmp_path / "run")) == 2
    assert torch.isfinite(torch.tensor(result["metrics"]["test"]["loss"]))
    assert pd.read_parquet(tmp_path / "run" / "predictions.parquet")["p0"].notna().all()


def test_the_first_failure_stops_the_sweep_where_that_is_asked_for(command, tmp_path):
    sweep = ["-m", "optimizer.lr=0.1,fast,0.2", *SMALL, "on_error=stop"]
    done = command(*sweep)
    assert done.code == 1 and "not run: on_error=stop, and lrfast-s0 failed" in done.text
    assert not (study_of(tmp_path) / "lr0.2-s0" / "result.json").exists()
    done = command(*sweep[:-1])
    assert done.code == 1 and read_result(study_of(tmp_path) / "lr0.2-s0")["status"] == "done"


def test_failed_jobs_run_again_when_asked_to(command, tmp_path, monkeypatch):
    """The disk was full, say, for the job with seed 1; the epochs it had done by then are not done again."""
    from fer_lightning.training import fit
    from fer_lightning.training.resume import Continuation

    save = Continuation.on_train_epoch_end

    def full(self, trainer, module):
        if trainer.current_epoch == 1 and "s1" in str(self.path):
            raise OSError(28, "No space left on device", str(self.path))
        save(self, trainer, module)

    sweep = ["-m", "seed=0,1", *SMALL, "trainer.max_epochs=3"]
    with monkeypatch.context() as patch:
        patch.setattr(fit.Continuation, "on_train_epoch_end", full)
        done = command(*sweep)
    assert done.code == 1 and "1 of 2 jobs done" in done.text
    study = study_of(tmp_path)
    error = read_result(study / "s1")["error"]
    assert error["type"] == "OSError" and "the disk is full" in error["message"] and "free" in error["message"]
    assert error["where"] == "in phase whole, epoch 2, after step 6"
    done = command(*sweep)
    assert done.code == 1 and "already failed; study.rerun=failed runs it again" in done.text
    done = command(*sweep, "study.rerun=failed")
    assert done.code == 0, done.text
    assert "already done" in done.text and "continues after epoch 1, at step 3" in done.text
    assert [row["epoch"] for row in read_metrics(study / "s1")] == [0, 1, 2]


@pytest.mark.parametrize("key", ["on_error=go", "study.rerun=all", "on_oom=shrink"])
def test_choices_that_do_not_exist_are_refused(command, key):
    done = command(*SMALL, key)
    assert done.code == 1 and f"{key}: choose " in done.text and "Traceback" not in done.text


@pytest.fixture
def little_memory(monkeypatch):
    """A backbone that asks the allocator for a petabyte where more than 16 pictures come at once; returns the sizes of all batches."""
    from fer_lightning.model.backbones.compact import CompactCNN

    forward = CompactCNN.forward
    seen = []

    def greedy(self, pixels):
        seen.append(len(pixels))
        if len(pixels) > 16:
            torch.empty(2**50, dtype=torch.uint8)
        return forward(self, pixels)

    monkeypatch.setattr(CompactCNN, "forward", greedy)
    return seen


def test_out_of_memory_is_tried_once_more_with_half_the_batch_where_allowed(command, tmp_path, little_memory):
    batches = [*SMALL, "eval_batch_size=32", "stability.probe=8"]
    done = command(*batches, "hydra.run.dir=whole")
    assert done.code == 1 and read_result(tmp_path / "whole")["status"] == "failed"
    message = read_result(tmp_path / "whole")["error"]["message"]
    assert message.startswith("out of memory (") and "on_oom=halve" in message and "Traceback" not in done.text

    done = command(*batches, "hydra.run.dir=halved", "on_oom=halve")
    assert done.code == 0, done.text
    assert "out of memory with batch_size=32: starting again with half of it" in done.text
    result = read_result(tmp_path / "halved")
    assert result["batch"] == {"size": 16, "accumulate": 2}
    assert [row["step"] for row in read_metrics(tmp_path / "halved")] == [3, 6]  # as many steps as whole batches would have taken

    done = command(*batches, "hydra.run.dir=little", "on_oom=halve", "batch_size=128", "data.train=256")
    assert done.code == 1 and read_result(tmp_path / "little")["status"] == "failed"  # once more, not until it fits


def test_a_job_of_other_data_starts_anew(command, tmp_path):
    """The folder of an unfinished job is kept, the data behind it are not."""
    assert command(*SMALL, "hydra.run.dir=run", "trainer.max_epochs=2").code == 0
    path = tmp_path / "run" / "result.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"status": "interrupted", "data": record["data"] | {"fingerprint": {"Training": "another"}}}))
    done = command(*SMALL, "hydra.run.dir=run", "trainer.max_epochs=2")
    assert done.code == 0 and "the data changed since this job was stopped, so it starts from the beginning" in done.text


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_jumps_changes_no_duration_and_no_decision(command, tmp_path, monkeypatch, jump):
    """At every look the clock is a day off, this way or that; it is real again where the command ends."""
    real, looks = time.time, itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + jump * next(looks))
        done = command("-m", "seed=0,1", *SMALL)
    assert done.code == 0, done.text
    for seed in (0, 1):
        spent = read_result(study_of(tmp_path) / f"s{seed}")["time"]
        assert 0 < spent["fit_s"] <= spent["total_s"] < 600
    assert command("-m", "seed=0,1", *SMALL).text.count("already done") == 2


def test_a_job_whose_record_vanishes_costs_the_exit_code(command, tmp_path, monkeypatch):
    """Somebody removes the folder of the first job while the second one runs, and cuts off the record of the third."""
    from fer_lightning.sweep import command as module

    report = module.end

    def removing(study):
        shutil.rmtree(study / "s0")
        (study / "s2" / "result.json").write_text("{")
        report(study)

    sweep = ["-m", "seed=0,1,2", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(module, "end", removing)
        done = command(*sweep)
    assert done.code == 1 and done.text.count("no record: seed=") == 2 and "no record: seed=1" not in done.text, done.text
    done = command(*sweep)
    assert done.code == 0 and "no record" not in done.text, done.text


def test_a_terminal_that_goes_ends_a_job_as_sigterm_does(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "fer_lightning", *SMALL, "hydra.run.dir=run", "trainer.max_epochs=100000"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 129 and "Traceback" not in process.stderr.read()
    assert read_result(tmp_path / "run")["status"] == "interrupted"
