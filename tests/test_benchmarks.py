"""Each benchmark script starts, and those that need no process of their own run to the end on next to nothing."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from helpers.project import ROOT

from fer_lightning.data.faces import CLASSES

SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text())
NET = "backbone.widths=[4,4,8]"
NUMBER = r"[\d,]+(?:\.\d+)?"

# What each script measures, as its last line says it; every number in brackets must be positive.
FIGURES = {
    "against_template": rf"ours, without averaged weights +({NUMBER}) images/s   by the template ({NUMBER}) \(({NUMBER}) to ({NUMBER})\)",
    "allocation": rf"compact, batch 8: ({NUMBER}) .* ({NUMBER}) to ({NUMBER}) images/s, ({NUMBER}) to ({NUMBER}) pages a step, .* MB",
    "busy": rf"beside 1 more, load average {NUMBER}: one thread ({NUMBER}) images/s, 2 threads ({NUMBER}), ratio",
    "input_path": rf"loader   2 workers: ({NUMBER}) images/s; four_stage_vgg takes ({NUMBER}), ({NUMBER}) times as many",
    "false_alarms": rf"({NUMBER}) s for 2 studies of 200 images",
    "precision": rf"True +True +True +({NUMBER})",
    "report_scale": rf"8 runs: ({NUMBER}) s \(({NUMBER}) s of one core\), ({NUMBER}) MB",
    "stability_monitor": rf"ratio with / without, median of 1: ({NUMBER})",
    "training_loop": rf"ratio framework / bare, median of 1: ({NUMBER})",
}

TINY = {
    "against_template": f"--images 64 --batch 32 --rounds 1 --precision 32-true {NET}",
    "allocation": f"--backbones compact --batch 8 --steps 1 --rounds 1 {NET}",
    "busy": f"--threads 2 --load 1 --rounds 1 {NET} batch_size=8 logger=csv",
    "false_alarms": "--studies 2 --images 200",
    "input_path": "--batch 8 --batches 1 --rounds 1 --pictures 8 --recipes",
    "precision": "--backbones compact --batch 8 --steps 1 --rounds 1 --overrides backbone.widths=[4,4,8]",
    "report_scale": "--runs 8",
    "stability_monitor": f"--images 64 --rounds 1 {NET} logger=csv",
    "training_loop": f"--images 64 --batch 32 --rounds 1 {NET} logger=csv",
}
MINUTES = {
    "against_peers": "--drawn 14 --rounds 1",
    "cost_curves": "--jobs 2 --tiles 1 --sizes 48",
    "fast_recipe": f"--seeds 2 data=synthetic data.train=64 data.val=32 data.test=32 epochs=2 {NET}",
    "packing": f"--jobs 2 {NET} data=synthetic data.train=64 epochs=1",
    "startup": f"--rounds 1 --jobs 3 data=synthetic {NET}",
}


@pytest.fixture
def benchmark(command, monkeypatch):
    """Runs a script with arguments as a command line has them."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    backend = torch.compiler.get_default_backend()
    torch.compiler.set_default_backend("eager")  # what C++ makes of it takes a minute
    yield lambda script, arguments: command(*arguments.split(), main=import_module(script).main)
    torch.compiler.set_default_backend(backend)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_measures(benchmark, script):
    done = benchmark(script, "--help")
    assert done.code == 0 and "usage:" in done.text


@pytest.mark.parametrize("script", [pytest.param(name, marks=[pytest.mark.slow] if name == "allocation" else []) for name in TINY])
def test_a_script_runs_to_the_end(benchmark, script):
    done = benchmark(script, TINY[script])
    assert done.code == 0, done.text
    figures = re.findall(FIGURES[script], done.text)
    assert figures, done.text
    for found in figures:
        assert all(float(number.replace(",", "")) > 0 for number in ([found] if isinstance(found, str) else found)), found


@pytest.mark.slow
@pytest.mark.parametrize("script", MINUTES)
def test_a_script_of_several_processes_runs_to_the_end(benchmark, script):
    done = benchmark(script, MINUTES[script])
    assert done.code == 0, done.text


@pytest.mark.slow
def test_the_gpu_day_works_on_the_day(tmp_path):
    environment = os.environ | {"SMALL": "1", "PYTHON": sys.executable}
    subprocess.run(["bash", ROOT / "benchmarks" / "gpu_day.sh", tmp_path], check=True, env=environment)
    lines = (tmp_path / "summary.txt").read_text().splitlines()
    assert len(lines) == 7
    for line in lines:
        assert ": exit code 0 " in line, (line, (tmp_path / f"{line.partition(':')[0]}.log").read_text())


@pytest.mark.slow
def test_a_difference_that_is_just_of_interest_is_seldom_called_additive(monkeypatch):
    """As docs/statistics.md has it: over seeds alone far more than the level of the test; over images too about 5 %."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    false_alarms = import_module("false_alarms")
    world = false_alarms.World(false_alarms.ANALYSIS.sesoi, spread=0.2)
    words = false_alarms.alarms(world, np.random.default_rng(5), studies=150, images=3589, seeds=(80,))
    both, alone = (words[:, 0, :, 0] == "additive").mean(0)
    assert both < 0.09 < alone + 0.02 and both < alone


def test_ours_beside_no_peer_says_what_is_left_out(benchmark):
    done = benchmark("against_peers", "--drawn 14 --rounds 1 --no-exports")
    assert done.code == 0, done.text
    assert "@vladmandic/human is left out" in done.text and "fer is left out" in done.text
    (line,) = re.findall(r"\| ours, packaged weights.*", done.text)
    numbers = [float(number) for number in re.findall(r"(?<=[ (])[\d.]+", line)]
    assert len(numbers) == 11 and min(numbers[4:]) > 0, line
    rows = re.findall(r"^(?:angry|disgust|fear|happy|sad|surprise|neutral) +([\d ]+)$", done.text, re.MULTILINE)
    assert len(rows) == 7 and sum(int(count) for row in rows for count in row.split()) == 14


@pytest.mark.parametrize("options, sentence", [
    ("--fer no/python", "--fer no/python: there is no such program"),
    ("--fer false", "--fer false: it has no package fer"),
    ("--human .", "--human .: there is no node_modules/@vladmandic/human"),
    ("--data .", "No copy of FER-2013 in"),
])  # fmt: skip
def test_a_peer_that_is_not_there_is_one_sentence(benchmark, monkeypatch, options, sentence):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.setattr(import_module("against_peers").shutil, "which", lambda name: None if name == "no/python" else name)
    done = benchmark("against_peers", f"{'' if '--data' in options else '--drawn 14 '}--rounds 1 {options}")
    assert done.code == 1 and sentence in done.text and "Traceback" not in done.text, done.text


def test_the_classes_of_a_peer_are_taken_by_their_names(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    said = {"classes": sorted(CLASSES), "probabilities": [[float(name == "happy") for name in sorted(CLASSES)]]}
    (tmp_path / "out.json").write_text(json.dumps(said))
    assert import_module("against_peers").read_logits(tmp_path / "out.json").argmax(1).tolist() == [CLASSES.index("happy")]
