"""Control characters and wild numbers in files from a stranger: each is shown harmlessly or refused in one sentence."""

import json
import os
import shutil
import socket

import numpy as np
import pytest
import yaml
from helpers.written_runs import write_grid

from fer_lightning import compare, report, status
from fer_lightning.config.registered_analysis import registered
from fer_lightning.process.errors import ConfigError, DataError, UserError
from fer_lightning.process.terminal import as_table, console
from fer_lightning.process.visible import visible
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.runs.study_file import read_ledger
from fer_lightning.safety.json_shape import check_shape
from fer_lightning.safety.untrusted_files import read_json, read_yaml

TITLE = "\x1b]0;owned\x07\x1b[2J\x9b\u202e"


def test_control_characters_are_written_out():
    assert visible(f"a{TITLE}\tb\nc") == r"a\x1b]0;owned\x07\x1b[2J\x9b\u202e" + "\tb\nc"
    assert str(UserError(f"no {TITLE}")).isprintable()


def test_files_are_read_without_control_characters(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({TITLE: [TITLE]}))
    (tmp_path / "x.yaml").write_text(json.dumps({TITLE: [TITLE]}))
    for read in (read_json(tmp_path / "x.json"), read_yaml(tmp_path / "x.yaml")):
        assert read == {visible(TITLE): [visible(TITLE)]}


def test_a_screen_shows_no_control_characters_of_a_text(capsys):
    import pandas as pd

    screen = console()
    screen.print(TITLE)
    screen.print(as_table(pd.DataFrame({TITLE: [TITLE]}), right=()))
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out and r"\x1b]0;owned" in out


@pytest.fixture
def grid(tmp_path):
    write_grid(tmp_path / "study", np.random.default_rng(0), pictures=40, seeds=1)
    return tmp_path / "study"


def test_no_command_lets_them_through(grid, command, monkeypatch):
    first = sorted(path.parent for path in grid.glob("*/result.json"))[0]
    failed = read_result(first) | {"status": "failed", "error": {"type": "E", "message": TITLE, "traceback": TITLE}}
    (grid / f"run{TITLE}").mkdir()
    write_result(grid / f"run{TITLE}", failed)
    study = {"name": f"[/b]{TITLE}", "question": TITLE, "doubts": [TITLE]}
    (grid / "study.json").write_text(json.dumps({"axes": ["head.act", "head.norm"], "jobs": None, "study": study}))
    for main, *args in ((report.main, grid), (status.main, grid), (compare.main, first, grid / f"run{TITLE}")):
        done = command(*map(str, args), main=main)
        assert "\x1b" not in done.text and "\x07" not in done.text and "Traceback" not in done.text
    for path in grid.glob("report.*"):
        assert "\x1b" not in path.read_text("utf-8")


@pytest.mark.parametrize("pid", [10**30, "x", -1, None, 1.5])
def test_a_wild_running_job_has_a_status(tmp_path, command, pid):
    folder = tmp_path / "study" / "run"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump({"epochs": 10**30}))
    job = {"id": "x", "study": "s", "cell": {}, "seed": 0, "overrides": []}
    running = {"status": "running", "job": job, "environment": {"pid": pid, "host": socket.gethostname()}, "time": {"total_s": 1e99}}
    (folder / "result.json").write_text(json.dumps(running))
    (folder / "metrics.csv").write_text("epoch,val/accuracy\n0,1e308\n")
    for path in (folder / "result.json", folder / "metrics.csv"):
        os.utime(path, (1e12, 1e12))
    for place in (folder.parent, folder):
        done = command(str(place), main=status.main)
        assert done.code == 0 and "Traceback" not in done.text


@pytest.mark.parametrize("number", [10**30, -(10**17), 1e200, float("nan")])
def test_a_number_of_any_size_is_refused(number):
    with pytest.raises(ValueError):
        check_shape({"n": number}, {"n": (int, float)})


def test_a_study_of_no_images_is_damaged(tmp_path):
    for images in (0, -1):
        (tmp_path / "study.json").write_text(json.dumps({"axes": [], "jobs": None, "study": {"images": images}}))
        with pytest.raises(DataError, match=f"study.images is {images}"):
            read_ledger(tmp_path)


def test_a_bootstrap_without_end_is_refused():
    with pytest.raises(ConfigError, match="resamples=10000000000: give 100 to"):
        registered({"analysis": {"resamples": 10**10}})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    from helpers.real_study import run_study

    return next(path for path in run_study(tmp_path_factory.getbasetemp()).iterdir() if path.name == "relu-bn-s0")


CONFIGS = {
    "hidden too large": ("head.hidden", 10**12, r"head\.hidden=1000000000000: give a whole number"),
    "larger than its weights": ("head.hidden", 2**20, "does not fit the config of the run: it holds"),
    "widths that would fill the memory": ("backbone.widths", [10**9, 1, 1], r"backbone\.widths=.*: give one or more whole numbers"),
    "hidden is text": ("head.hidden", "x", r"head\.hidden=x: wants int"),
    "no head": ("head", None, "does not describe a run that can be built"),
    "a backbone that is a number": ("backbone", 5, "does not describe a run that can be built"),
    "widths are text": ("backbone.widths", "abc", "does not describe a run that can be built"),
    "a circle": ("seed", "${seed}", "Recursive interpolation"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_wild_config_of_a_run_is_one_sentence(finished, tmp_path, kind):
    from fer_lightning.training.restore import restore_module

    key, value, sentence = CONFIGS[kind]
    folder = shutil.copytree(finished, tmp_path / "run", symlinks=True)
    path = folder / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    *way, last = key.split(".")
    node = config
    for part in way:
        node = node[part]
    node[last] = value
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=sentence) as refused:
        restore_module(folder)
    assert "\n" not in str(refused.value)
