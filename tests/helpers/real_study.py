"""A study run by the command, once for all tests that report on it, and what a full disk and a hostile name make of it."""

import contextlib
import functools
import io
import logging
import shutil
import sys

import pytest

from fer_lightning.analysis.report import report
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.sweep.command import main
from helpers.project import TINY

HOSTILE = '</script><img src=x onerror="alert(1)">$x$ & | {{ 7*7 }}'


@functools.cache
def run_study(root, axes=("head.act=relu,gelu", "head.norm=none,bn", "seed=0,1"), name="grid"):
    """4 cells, 2 seeds, if nothing else is wanted. Returns the folder of the study below `root`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        arguments = ["-m", *axes, *TINY, "logger=csv", f"hydra.sweep.dir={name}"]
        patch.setattr(sys, "argv", ["fer_lightning", *arguments])
        main()
        logging.shutdown()
        logging.getLogger().handlers.clear()  # Hydra's write to a stream that pytest has closed by the next test
    return root / name


def run_pair(root):
    """A study of 1 cell and 2 seeds, s0 and s1, where a run is enough."""
    return run_study(root, ("seed=0,1",), "pair")


@functools.cache
def damaged_study(root):
    """(folder, what the screen showed) of a copy of it that was damaged and then reported on, with figures and tables as files.

    There are jobs that failed and that still run, with a name no one would choose, and files that were cut off.
    """
    study = shutil.copytree(run_study(root), root / "damaged", ignore=shutil.ignore_patterns("checkpoints"))
    job = {"id": "x", "study": "grid", "cell": {"head.act": HOSTILE, "head.norm": "bn"}, "seed": 0, "overrides": [f"head.act={HOSTILE}"]}
    error = {"type": "ValueError", "message": HOSTILE, "traceback": f"Traceback\n  {HOSTILE}"}
    failed, running, done = {"status": "failed", "error": error}, {"status": "running"}, read_result(study / "relu-bn-s0")
    for name, result in {"failed-s0": failed, "running-s0": running, "hostile-s0": done}.items():
        (study / name).mkdir()
        write_result(study / name, result | {"job": job})
    (study / "broken-s0").mkdir()
    (study / "broken-s0" / "result.json").write_text('{"status": "do')
    for name in ("gelu-bn-s0", "gelu-bn-s1"):
        predictions = study / name / "predictions.parquet"
        predictions.write_bytes(predictions.read_bytes()[:200])
    (study / "relu-none-s1" / "metrics.csv").write_bytes(b"epoch,val/loss\n0,\xff\xfe")
    (study / "relu-none-s1" / ".hydra" / "config.yaml").write_text("data: [")
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        assert report(study, figures="svg", latex=True) == 2
    return study, screen.getvalue()
