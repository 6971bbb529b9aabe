"""Every script of examples/ does what its page says, on drawn faces."""

import re
import runpy
import sys
from importlib import import_module

import pytest
from helpers.project import ROOT, TINY
from helpers.trained_run import trained_run

from fer_lightning.data.synthetic import draw
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.safety import allowed_targets

TESTED = {"torch_loop", "own_trainer", "own_callback", "own_head", "features_to_sklearn"}


@pytest.fixture
def example(monkeypatch):
    """Imports a script of examples/ as a module; it is forgotten after the test."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    yield import_module
    for name in TESTED:
        sys.modules.pop(name, None)


@pytest.fixture
def run(tmp_path_factory):
    return trained_run(tmp_path_factory.getbasetemp())


def test_every_example_is_tested():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == TESTED


def test_a_plain_torch_loop_learns(example):
    assert example("torch_loop").train(draw(train=1024, val=128, test=7), epochs=4) > 0.3  # happy alone is a quarter


def test_a_trainer_of_ones_own(example, capsys):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    assert 0 <= example("own_trainer").train(draw(train=128, val=32, test=32), epochs=1, **quiet) <= 1
    assert "'val/accuracy'" in capsys.readouterr().out


def test_a_callback_of_ones_own_in_a_run_of_the_command(example, command, tmp_path, monkeypatch):
    """The second line of its page; the first is what FER_LIGHTNING_PACKAGES and PYTHONPATH do when Python starts."""
    monkeypatch.setattr(allowed_targets, "USERS", ("own_callback",))
    line = "+callbacks.confused._target_=own_callback.MostConfused"
    assert line in example("own_callback").__doc__
    done = command(*TINY, line, "logger=csv", "hydra.run.dir=run")
    assert done.code == 0 and done.text.count("most confused: ") == 2, done.text
    assert all(0 <= row["val/most_confused"] <= 1 for row in read_metrics(tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("own_head", r"val accuracy: 0\.\d{3} with the run's own head, 0\.\d{3} with a cosine head\n"),
        ("features_to_sklearn", r"(?s).*neutral.*macro avg"),
    ],
)
def test_what_goes_on_from_a_finished_run(name, shown, run, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    script = str(ROOT / "examples" / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, str(run)])
    runpy.run_path(script, run_name="__main__")
    assert re.match(shown, capsys.readouterr().out)
