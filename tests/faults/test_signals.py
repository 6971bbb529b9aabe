"""Ctrl-C, SIGTERM and kill -9 of real processes; two processes on one study."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from helpers.project import TINY

from fer_lightning.process.signals import Interrupted
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.training.checkpoints import read_last

SMALL = [*TINY, "logger=csv", "backbone.widths=[4,4]", "stability.probe=8"]


class Process:
    """`python -m fer_lightning ARGS` in a folder, its screen read line by line."""

    def __init__(self, folder, *args):
        command = [sys.executable, "-u", "-m", "fer_lightning", *args]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command, cwd=folder, text=True, env=os.environ | {"COLUMNS": "200"}, **pipes)
        self.lines = []

    def read_until(self, text):
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"{text!r} never came:\n{self.text}")

    def send(self, signum):
        self.process.send_signal(signum)

    def end(self):
        """The exit code."""
        self.lines += self.process.stdout.readlines()
        return self.process.wait(120)

    @property
    def text(self):
        return "".join(self.lines)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_step_marks_the_job_and_stops_the_sweep(command, tmp_path, signum, code):
    long = Process(tmp_path, "-m", "seed=0,1", *SMALL, "trainer.max_epochs=100000")
    long.read_until("epoch 2/")
    long.send(signum)
    assert long.end() == code, long.text
    assert "interrupted: " in long.text and "The same command goes on with it." in long.text
    assert "job 2/2" not in long.text and "Traceback" not in long.text
    (folder,) = (tmp_path / "multirun").glob("*/s[0-9]")
    result = read_result(folder)
    assert folder.name == "s0" and result["status"] == "interrupted" and result["error"]["type"] == "Interrupted"
    steps = read_last(folder)["global_step"]
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert steps >= 3 * len(rows)


def test_a_second_signal_ends_at_once(tmp_path):
    """A step that takes a minute: the first signal waits for its end, the second does not."""
    slow = f"""
import time
from fer_lightning.sweep.command import main
from fer_lightning.training.module import FERModule
step = FERModule.training_step
def stuck(self, batch, batch_idx):
    print("stuck", flush=True)
    time.sleep(60)
    return step(self, batch, batch_idx)
FERModule.training_step = stuck
import sys
sys.argv = ["fer_lightning", *{SMALL}, "hydra.run.dir=run"]
main()
"""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen([sys.executable, "-u", "-c", slow], cwd=tmp_path, text=True, **pipes)
    for line in process.stdout:
        if "stuck" in line:
            break
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    text = process.stdout.read()
    assert process.wait(30) == 130, text
    assert read_result(tmp_path / "run")["status"] == "interrupted"
    assert not list((tmp_path / "run").glob("**/.*.[0-9]*"))  # nothing half-written


def jobs_done(text):
    lines = (line for line in text.splitlines() if "already" not in line and "another" not in line)
    return re.findall(r"job \d+/\d+  (\S+)", "\n".join(lines))


def test_two_processes_share_a_study(tmp_path):
    sweep = ["-m", "seed=range(6)", *SMALL]
    first = Process(tmp_path, *sweep)
    first.read_until("job 1/6")
    second = Process(tmp_path, *sweep)
    assert (first.end(), second.end()) == (0, 0), first.text + second.text
    done = jobs_done(first.text) + jobs_done(second.text)
    assert sorted(done) == [f"s{seed}" for seed in range(6)], first.text + second.text  # each once
    for process in (first, second):
        assert "6 of 6 jobs done" in process.text


@pytest.mark.slow
def test_the_job_of_a_process_that_dies_is_taken_over(tmp_path):
    sweep = ["-m", "seed=0,1", *SMALL, "trainer.max_epochs=40"]
    first = Process(tmp_path, *sweep)
    first.read_until("epoch 3/40")
    first.send(signal.SIGSTOP)  # it holds its job, however long the second takes to come
    second = Process(tmp_path, *sweep)
    second.read_until("another process runs it")
    first.send(signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    assert second.end() == 0, second.text
    assert "2 of 2 jobs done" in second.text and "continues after" in second.text
    (folder,) = (tmp_path / "multirun").glob("*/s0")
    assert read_result(folder)["resumed"]


@pytest.mark.parametrize(
    ("first", "status", "code"), [(Interrupted(signal.SIGINT), "interrupted", 143), (ValueError("made up"), "failed", 143)]
)
def test_a_signal_that_comes_while_the_end_is_recorded_waits_for_that(command, tmp_path, monkeypatch, first, status, code):
    """As SLURM's SIGTERM after the USR2 that has a job queued again."""

    def ends(*args, **kwargs):
        raise first

    def interrupted(folder, record):
        os.kill(os.getpid(), signal.SIGTERM)
        write_result(folder, record)

    monkeypatch.setattr("fer_lightning.training.processes.launch", ends)
    monkeypatch.setattr("fer_lightning.sweep.job.write_result", interrupted)
    ended = command("-m", "seed=0,1", *SMALL, "hydra.sweep.dir=here")
    assert ended.code == code
    assert read_result(tmp_path / "here" / "s0")["status"] == status
    assert not (tmp_path / "here" / "s1").exists()
