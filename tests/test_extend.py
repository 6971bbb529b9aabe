"""docs/extend.md as its reader would follow it: the files are written, the commands are run."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from helpers.project import ROOT

from fer_lightning import load_run

PAGE = (ROOT / "docs" / "extend.md").read_text()
FEW = ["data=synthetic", "data.train=64", "data.val=32", "data.test=32", "trainer=smoke", "batch_size=32", "logger=csv", "threads=1"]


def commands():
    return [line.split("#")[0].split() for line in re.findall(r"^    python -m (fer_lightning .*)$", PAGE, re.MULTILINE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with every file that the page shows."""
    folder = tmp_path_factory.mktemp("own")
    files = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)
    assert len(files) == 6
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (line,) = re.findall(r"^    export (.*)$", PAGE, re.MULTILINE)
    env = os.environ | dict(word.split("=") for word in line.split())
    env["PYTHONPATH"] = f".{os.pathsep}{ROOT}"
    return folder, env


def run(folder, env, *arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_own_parts_train_and_are_recorded(folder):
    folder, env = folder
    single, *_ = commands()
    assert "--config-dir my_conf backbone=wide" in " ".join(single)
    run(folder, env, *single, *FEW, "hydra.run.dir=run")
    finished = load_run(folder / "run")
    assert finished.result["model"]["backbone"] == "my_package.parts.Wide"
    assert finished.config.optimizer._target_.endswith("SignSGD") and finished.config.loss._target_.endswith("focal")
    assert (finished.metrics["own/weight_norm"] > 0).all() and len(finished.metrics) == 2


@pytest.mark.slow
def test_a_study_and_a_grid_of_own_parts_end_in_a_report(folder):
    folder, env = folder
    _, study, grid = commands()
    few = {"study": ["backbone=wide"], "grid": []}
    for name, line in (("study", study), ("grid", grid)):
        run(folder, env, *line, *FEW, *few[name], f"hydra.sweep.dir=multirun/{name}")
    results = pd.read_csv(folder / "multirun" / "study" / "results.csv")
    assert len(results) == 8 and {"focal", "cross_entropy"} <= set(results["loss"])
    report = (folder / "multirun" / "study" / "report.md").read_text()
    assert "Does the focal loss help" in report
    assert set(pd.read_csv(folder / "multirun" / "grid" / "results.csv")["backbone"]) == {"compact", "wide"}
