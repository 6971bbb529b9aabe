"""The launcher that lets jobs with one frozen backbone run side by side."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pandas as pd
import pytest
from helpers.project import TINY
from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.test_utils.launcher_common_tests import LauncherTestSuite
from omegaconf.basecontainer import BaseContainer

import fer_lightning.sweep.command  # noqa: F401  (registers its resolvers once, before a test forgets them)
from fer_lightning.config import guarded_loading

FROZEN = [*TINY, "logger=csv", "backbone.freeze=all", "augment=flip_shift"]
SHARED = ["hydra/launcher=shared", "hydra.launcher.processes=2"]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("shared", [])])
class TestHydrasOwnSuite(LauncherTestSuite):
    """What every launcher of Hydra has to do."""

    @pytest.fixture(autouse=True)
    def as_in_a_new_process(self, monkeypatch):
        """Hydra keeps the version that the last command asked for; its own suite is written for none."""
        monkeypatch.setattr(version.VersionBase.instance(), "version_base", version._UNSPECIFIED_)

    @pytest.fixture(autouse=True)
    def without_our_guard(self, monkeypatch):
        """Its programs are not this one, so their configs lack the callback that every config of this program must have."""
        monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", guarded_loading.UNGUARDED)
        monkeypatch.setattr(BaseContainer, "_resolvers", dict(BaseContainer._resolvers))  # it removes all, ours too


def test_jobs_side_by_side_leave_what_jobs_one_after_the_other_leave(process, tmp_path):
    grid = ["head.act=relu,gelu", "optimizer.lr=0.01,0.1", "seed=0"]
    for folder, launcher in (("side", SHARED), ("row", [])):
        done = process("fer_lightning", "-m", *FROZEN, *grid, *launcher, f"hydra.sweep.dir={folder}")
        assert done.code == 0, done.text
    side, row = (sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("side", "row"))
    assert side == row and len([name for name in side if name.endswith("-s0")]) == 4
    owners = set()
    for name in (name for name in side if name.endswith("-s0")):
        here, there = (tmp_path / folder / name for folder in ("side", "row"))
        assert {path.name for path in here.iterdir()} == {path.name for path in there.iterdir()}
        a, b = (json.loads((run / "result.json").read_text()) for run in (here, there))
        assert a["job"] == b["job"] and a["metrics"]["train"]["loss"] == pytest.approx(b["metrics"]["train"]["loss"], abs=1e-5)
        pd.testing.assert_frame_equal(*(pd.read_parquet(run / "predictions.parquet") for run in (here, there)), atol=1e-5)
        owners.add(a["environment"]["pid"])
    assert len(owners) == 2


@pytest.mark.slow
def test_a_job_that_fails_elsewhere_is_recorded_and_passed_over(process, tmp_path):
    done = process("fer_lightning", "-m", *FROZEN, "optimizer.lr=0.1,fast,0.2", *SHARED, "hydra.sweep.dir=sweep")
    status = {path.parent.name: json.loads(path.read_text())["status"] for path in tmp_path.glob("sweep/*/result.json")}
    assert status == {"lr0.1-s0": "done", "lrfast-s0": "failed", "lr0.2-s0": "done"}
    assert done.code == 1 and "fast" in done.text


@pytest.fixture
def long_sweep(tmp_path):
    """A sweep whose first job is done and whose next two train, side by side, for long; two more wait. Yields process, run folders."""
    jobs = ["trainer.max_epochs=1,3000,3001,3002,3003", "stability.probe=1"]
    command = [sys.executable, "-m", "fer_lightning", "-m", *FROZEN, *jobs, *SHARED, "hydra.sweep.dir=sweep"]
    running = [tmp_path / "sweep" / f"max_epochs{epochs}-s0" for epochs in (3000, 3001)]
    with open(tmp_path / "said", "w") as said:
        sweep = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said, start_new_session=True)
    try:
        while sweep.poll() is None and not all((run / "metrics.csv").exists() for run in running):
            time.sleep(0.1)
        yield sweep, running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(sweep.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("send", "signum"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)], ids=["ctrl-c", "sigterm to the parent"]
)
def test_a_signal_ends_those_that_run_and_starts_no_more(long_sweep, tmp_path, send, signum):
    sweep, running = long_sweep
    send(sweep.pid, signum)
    assert sweep.wait(timeout=120) == 128 + signum, (tmp_path / "said").read_text()
    assert [json.loads((run / "result.json").read_text())["status"] for run in running] == ["interrupted"] * 2
    assert len(list(tmp_path.glob("sweep/*-s0"))) == 3


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_sweep_with_a_sentence(long_sweep, tmp_path):
    sweep, (run, _) = long_sweep
    os.kill(json.loads((run / "result.json").read_text())["environment"]["pid"], signal.SIGKILL)
    assert sweep.wait(timeout=120) == 1
    said = (tmp_path / "said").read_text()
    assert "was killed" in said and "Traceback" not in said


def test_what_cannot_share_runs_in_one_process(process, tmp_path):
    done = process("fer_lightning", "-m", *TINY, "logger=csv", "head.act=relu,gelu", *SHARED, "hydra.sweep.dir=sweep")
    assert done.code == 0, done.text
    assert len({json.loads(path.read_text())["environment"]["pid"] for path in tmp_path.glob("sweep/*/result.json")}) == 1


def test_a_number_of_processes_that_cannot_be_is_said(process):
    done = process("fer_lightning", "-m", *FROZEN, "head.act=relu,gelu", "hydra/launcher=shared", "hydra.launcher.processes=0")
    assert done.code == 1 and "hydra.launcher.processes=0" in done.text and "Traceback" not in done.text
