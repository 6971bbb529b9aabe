"""Each benchmark script starts, and those that need no process of their own run to the end on next to nothing."""

from importlib import import_module

import pytest
import torch
from helpers.project import ROOT

SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text())
NET = "backbone.widths=[4,4,8]"
TINY = {
    "allocation": f"--backbones compact --batch 8 --steps 1 --rounds 1 {NET}",
    "input_path": "--batch 8 --batches 1 --rounds 1 --pictures 8 --recipes",
    "precision": "--backbones compact --batch 8 --steps 1 --rounds 1 --overrides backbone.widths=[4,4,8]",
    "report_scale": "--runs 8",
    "stability_monitor": f"--images 64 --rounds 1 {NET} logger=csv",
    "training_loop": f"--images 64 --batch 32 --rounds 1 {NET} logger=csv",
}
MINUTES = {
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


@pytest.mark.parametrize("script", TINY)
def test_a_script_runs_to_the_end(benchmark, script):
    done = benchmark(script, TINY[script])
    assert done.code == 0 and any(character.isdigit() for character in done.text.splitlines()[-1]), done.text


@pytest.mark.slow
@pytest.mark.parametrize("script", MINUTES)
def test_a_script_of_several_processes_runs_to_the_end(benchmark, script):
    done = benchmark(script, MINUTES[script])
    assert done.code == 0, done.text
