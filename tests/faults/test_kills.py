"""Kill -9 at random moments, again and again: in the end every job is done, once, with the numbers of a study that nobody disturbed."""

import os
import random
import signal
import sys
import time

import pytest
from helpers.project import TINY
from helpers.same_run import assert_same_run

from fer_lightning.runs.result import read_result

EPOCHS = 24
JOB = [*TINY, "logger=csv", "backbone.widths=[4,4]", "stability.probe=8", f"trainer.max_epochs={EPOCHS}"]


@pytest.fixture
def fork(tmp_path, monkeypatch):
    """Starts `python -m fer_lightning ARGS` as a process that need not import anything first; its screen goes to a file.

    Returns (its id, the file). What it would import takes seconds and writes nothing, so there is nothing to be learnt from killing it.
    """
    import fer_lightning.analysis.report
    import fer_lightning.training.train  # noqa: F401
    from fer_lightning.sweep.command import main

    monkeypatch.chdir(tmp_path)
    started = []

    def start(*args):
        screen = tmp_path / f"screen-{len(started)}"
        child = os.fork()
        if child == 0:
            file = os.open(screen, os.O_CREAT | os.O_WRONLY)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # not pytest's
            monkeypatch.setattr("sys.argv", ["fer_lightning", *args])
            code = 70
            try:
                main()
                code = 0
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
                print(error, flush=True)
            finally:
                sys.stdout.flush()
                os._exit(code)
        started.append(child)
        return child, screen

    return start


def wait_for(screen, text, times, child):
    """Whether the screen of a child shows a text so many times before the child ends."""
    while (screen.read_text() if screen.exists() else "").count(text) < times:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.01)
    return True


def done_results(study):
    """{job: the bytes of its result.json} of the jobs that are done."""
    return {path.parent.name: path.read_bytes() for path in study.glob("s*/result.json") if read_result(path.parent)["status"] == "done"}


@pytest.mark.slow
@pytest.mark.parametrize(("jobs", "kills", "spread"), [(3, 6, 2), (16, 100, 6)])
def test_a_study_killed_again_and_again_ends_as_one_that_was_not(fork, tmp_path, jobs, kills, spread):
    """Every other kill comes before the first epoch of a process or soon after, the others after as many epochs as share out `spread` times
    the study. Epochs, not seconds: on a busy machine the study may end before a kill that waits for seconds.
    """
    sweep = ["-m", f"seed=range({jobs})", *JOB]
    child, screen = fork(*sweep, "hydra.sweep.dir=whole")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, screen.read_text()

    moments = random.Random(0)
    killed, study = 0, tmp_path / "killed"
    done = {}
    while killed < kills:
        child, screen = fork(*sweep, "hydra.sweep.dir=killed")
        line, times = ("job 1/", 1) if killed % 2 else ("  epoch ", moments.randint(1, spread * jobs * EPOCHS // kills))
        alive = wait_for(screen, line, times, child)
        time.sleep(moments.uniform(0, 0.5 if killed % 2 else 0.05))
        if alive:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        killed += 1
        found = done_results(study)
        assert {name: found.get(name) for name in done} == done, "a job that was done has changed"
        done = found
    child, screen = fork(*sweep, "hydra.sweep.dir=killed")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, screen.read_text()
    assert f"{jobs} of {jobs} jobs done" in screen.read_text()

    resumed = 0
    for seed in range(jobs):
        assert_same_run(tmp_path / "whole" / f"s{seed}", study / f"s{seed}")
        resumed += len(read_result(study / f"s{seed}").get("resumed", ()))
    print(f"{killed} kills, {resumed} resumes")
    assert resumed
