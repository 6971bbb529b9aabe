"""Sweeps as processes of their own, which tests watch, kill and start again."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from fer_lightning.runs.result import read_result
from fer_lightning.sweep import callback
from helpers.project import TINY

# A job that lasts long enough to be killed in the middle.
LONG = [*TINY, "logger=csv", "trainer.max_epochs=40", "hydra.sweep.dir=multirun/s"]


def needs(*extras):
    missing = [extra for extra in extras if find_spec(callback.PACKAGES[extra]) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: fer_lightning[{','.join(missing)}]")


def start(tmp_path, *args, prefix=(), **env):
    """`python -m fer_lightning --multirun ARGS` in a process of its own, its output in a file."""
    with open(tmp_path / "output", "w") as file:
        command = [*prefix, sys.executable, "-m", "fer_lightning", "-m", *args]
        return subprocess.Popen(command, cwd=tmp_path, env=os.environ | env, stdout=file, stderr=subprocess.STDOUT)


def finish(tmp_path, running):
    return SimpleNamespace(code=running.wait(timeout=1200), text=(tmp_path / "output").read_text())


def results(tmp_path):
    return {path.parent.name: read_result(path.parent) for path in sorted(tmp_path.glob("multirun/s/*/result.json"))}


def wait_for(condition, seconds=600):
    """The first thing that `condition` gives which is not false."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise TimeoutError(condition)


def one_that_runs(tmp_path):
    """(name, pid) of a job that has just ended an epoch."""
    for name, result in results(tmp_path).items():
        if result["status"] == "running" and (tmp_path / "multirun" / "s" / name / "metrics.csv").exists():
            return name, result["environment"]["pid"]
    return None


def kill_tree(pid):
    """As a machine that loses power: nobody is told."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        kill_tree(int(child))
