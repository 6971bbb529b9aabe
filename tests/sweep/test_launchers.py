"""Sweeps whose jobs run in other processes and on other machines: the real launchers, real processes, real kills."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from helpers.project import CONF, ROOT, TINY, compose
from helpers.sweeps import LONG, finish, kill_tree, needs, one_that_runs, results, start, wait_for

from fer_lightning.runs.result import read_result
from fer_lightning.sweep import callback
from fer_lightning.sweep.announcement import VARIABLE, Sweep, announce

SECRET = "5ec4e7" * 6 + "abcd"  # the shape of a W&B key

OPTIONS = ["launcher=joblib", "launcher=ray", "launcher=submitit_local", "launcher=submitit_slurm", "sweeper=optuna"]


@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_not_installed_is_named_with_its_extra(command, tmp_path, monkeypatch, option):
    extra = option.partition("=")[2].partition("_")[0]
    monkeypatch.setitem(callback.PACKAGES, extra, "no_such_package")
    done = command("-m", *TINY, "head.act=relu,gelu", f"hydra/{option}")
    assert done.code == 1 and f"pip install 'fer_lightning[{extra}]'" in done.text and "Traceback" not in done.text
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(
    "extra, arguments",
    [
        ("mlflow", ["logger=[csv,mlflow]"]),
        ("tensorboard", ["-m", "seed=0,1", "logger=tensorboard"]),
        ("tensorboard", ["-m", "logger=csv,tensorboard"]),
        ("lite", ["backbone=efficientnet_lite1"]),
        ("lite", ["-m", "backbone=compact,efficientnet_lite0"]),
    ],
)
def test_what_a_job_would_miss_is_named_before_the_first_one(command, tmp_path, monkeypatch, extra, arguments):
    monkeypatch.setitem(callback.PACKAGES, extra, "no_such_package")
    done = command(*arguments, "data=synthetic")
    assert done.code == 1 and f"pip install 'fer_lightning[{extra}]'" in done.text and "Traceback" not in done.text, done.text
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_wanted_need_no_package(command, tmp_path, monkeypatch):
    monkeypatch.setitem(callback.PACKAGES, "lite", "no_such_package")
    config = compose("backbone=efficientnet_lite0", "pretrained=false")
    callback._check_extras(config, [["backbone=efficientnet_lite1"]])


def test_a_worker_learns_of_its_sweep_from_the_overrides_alone(tmp_path, monkeypatch):
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER2013_ROOT", "it's here")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", ["head.act=relu,gelu"], run_mode=RunMode.MULTIRUN)
        announce(config, Sweep("grid", ["head.act", "seed"], 2, True, 0.0))
        for name in (VARIABLE, "FER2013_ROOT"):
            monkeypatch.delenv(name)  # as on another machine
        monkeypatch.chdir("/")
        job = loader.load_sweep_config(config, ["head.act=gelu", "seed=3"])
        assert f"{job.hydra.sweep.dir}/{job.hydra.sweep.subdir}" == f"{tmp_path}/multirun/grid/gelu-s3"
        assert job.hydra.job.env_set["FER2013_ROOT"] == "it's here"
        told = json.loads(job.hydra.job.env_set[VARIABLE])
        assert told["study"] == "grid" and told["folder"] == f"{tmp_path}/multirun/grid"
        assert SECRET not in str(job.hydra)


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], marks=needs("joblib"), id="joblib"),
        pytest.param(["hydra/launcher=submitit_local"], marks=[needs("submitit"), pytest.mark.slow], id="submitit_local"),
        pytest.param(["hydra/launcher=ray"], marks=[needs("ray"), pytest.mark.slow], id="ray"),
    ],
)
def test_jobs_in_other_processes_give_what_they_give_in_one(command, tmp_path, launcher):
    args = [*TINY, "logger=csv", "optimizer.lr=0.1,fast,0.01"]
    assert command("-m", *args, "hydra.sweep.dir=one").code == 1
    done = finish(tmp_path, start(tmp_path, *args, "hydra.sweep.dir=multirun/s", *launcher, WANDB_API_KEY=SECRET))
    assert done.code == 1 and "2 of 3 jobs done" in done.text and "optimizer.lr=fast: wants float" in done.text, done.text
    assert "Traceback" not in done.text
    found = results(tmp_path)
    assert {name: result["status"] for name, result in found.items()} == {"lr0.1-s0": "done", "lr0.01-s0": "done", "lrfast-s0": "failed"}
    for name, result in found.items():
        assert result["job"]["study"].startswith("lr-") and result["job"]["cell"].keys() == {"optimizer.lr"}
        assert result.get("metrics") == read_result(tmp_path / "one" / name).get("metrics")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.slow
@needs("joblib")
def test_no_worker_outlives_a_killed_sweep(tmp_path):
    """Those that train write a checkpoint and say that they were interrupted, as after SIGTERM."""
    running = start(tmp_path, *LONG, "trainer.max_epochs=4000", "seed=0,1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    wait_for(lambda: one_that_runs(tmp_path))
    pids = [result["environment"]["pid"] for result in results(tmp_path).values()]
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 90)
    assert pids and {result["status"] for result in results(tmp_path).values()} == {"interrupted"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher, message",
    [
        pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], "TerminatedWorkerError", marks=needs("joblib"), id="joblib"),
        pytest.param(["hydra/launcher=submitit_local"], "UncompletedJobError", marks=needs("submitit"), id="submitit_local"),
    ],
)
def test_the_same_command_runs_what_a_killed_job_left(tmp_path, launcher, message):
    args = [*LONG, "head.act=relu,gelu,mish,swish", *launcher]
    running = start(tmp_path, *args)
    name, pid = wait_for(lambda: one_that_runs(tmp_path))
    os.kill(pid, signal.SIGKILL)
    done = finish(tmp_path, running)
    assert done.code == 1 and message in done.text and "the same command runs the rest" in done.text, done.text
    assert "Traceback" not in done.text.split("jobs done")[-1] and f"running: {name}" in done.text
    before = {name: result for name, result in results(tmp_path).items() if result["status"] == "done"}
    again = finish(tmp_path, start(tmp_path, *args))
    assert again.code == 0 and "4 of 4 jobs done" in again.text, again.text
    assert before.items() <= results(tmp_path).items()


@contextmanager
def cluster(tmp_path):
    """Two Ray nodes of one CPU each in a network of their own. Gives what to put before a command to run it there, and the second node."""
    # The first process of the namespace keeps it; without it Ray would bind the machine's own address.
    holder = subprocess.Popen(["unshare", "-n", "bash", "-c", "ip link set lo up; exec sleep infinity"])
    inside = ["nsenter", "-n", "-t", str(holder.pid)]
    env = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    ray = [*inside, sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--object-store-memory=100000000", "--block"]
    nodes = []
    try:
        wait_for(lambda: b"LOOPBACK,UP" in subprocess.run([*inside, "ip", "link"], capture_output=True).stdout)
        (tmp_path / "elsewhere").mkdir()
        for rest in (["--head", "--port=6399", "--include-dashboard=false"], ["--address=127.0.0.1:6399"]):
            nodes.append(subprocess.Popen([*ray, *rest], cwd=tmp_path / "elsewhere", env=env, stdout=subprocess.DEVNULL))
            time.sleep(20)
        yield inside, nodes[1]
    finally:
        for node in nodes:
            kill_tree(node.pid)
        holder.kill()


@pytest.mark.slow
@needs("ray")
@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_the_jobs_of_a_lost_node_run_elsewhere(tmp_path):
    args = [*LONG, "hydra/launcher=ray", "head.act=relu,gelu,mish,swish"]
    with cluster(tmp_path) as (inside, second):
        running = start(tmp_path, *args, prefix=inside, RAY_ADDRESS="127.0.0.1:6399", RAY_AUTH_MODE="disabled")
        wait_for(lambda: [result["status"] for result in results(tmp_path).values()] == ["running", "running"])
        kill_tree(second.pid)
        done = finish(tmp_path, running)
    assert done.code == 0 and "4 of 4 jobs done" in done.text, done.text
    assert all(result["job"]["study"].startswith("act-") for result in results(tmp_path).values())


def shown():
    lines = (ROOT / "docs" / "clusters.md").read_text().splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("    python -m fer_lightning")]


@pytest.mark.parametrize("line", shown())
def test_a_shown_command_is_a_valid_one(line):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    _, _, _, multirun, *overrides = shlex.split(line)
    assert multirun == "-m"
    single = [override for override in overrides if not OverridesParser.create().parse_override(override).is_sweep_override()]
    config = compose(*single, return_hydra_config=True)
    assert config.hydra.launcher._target_.endswith("Launcher")
