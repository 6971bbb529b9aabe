"""Every test runs on one thread, offline, with a cache of its own."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.project import TINY, squeeze

# Two threads beside another busy process run 3 to 80 times slower than alone; one hardly suffers.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
# Else matplotlib lists the fonts anew, ten seconds, in the cache of each test that draws first.
os.environ.setdefault("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))
# Under nohup a hangup is ignored, by every process that a test starts too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Runs `python -m fer_lightning ARGS`, or another command's main, inside this process, in tmp_path.

    Returns code and text (stdout and stderr).
    """
    from fer_lightning.sweep.command import main as train

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*args, main=train):
        monkeypatch.setattr(sys, "argv", ["fer_lightning", *args])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
            if isinstance(error.code, str):
                print(error.code, file=sys.stderr)
        finally:
            logging.shutdown()
            for handler in logging.root.handlers[:]:
                if type(handler) in (logging.StreamHandler, logging.FileHandler):
                    logging.root.removeHandler(handler)  # Hydra's, which write to a screen that is gone when the next command runs
        out, err = capfd.readouterr()
        return SimpleNamespace(code=code, text=out + err)

    return run


@pytest.fixture
def process(tmp_path):
    """Runs a Python module as a user would, in a process of its own, in tmp_path."""

    def run(*args, **env):
        command = [sys.executable, "-m", *map(str, args)]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, timeout=300)
        return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr)

    return run


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe file of the user's own; returns the arguments that choose it."""

    def write(text):
        path = tmp_path / "own" / "recipe" / "mine.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# @package _global_\n" + text)
        return ["--config-dir", str(tmp_path / "own"), "recipe=mine", *TINY, "logger=csv"]

    return write


@pytest.fixture
def run_main(monkeypatch, capfd):
    """Calls a command's main() with arguments. Returns its sentence on stderr (None: it ended well) and what it printed."""

    def run(module, *args):
        monkeypatch.setattr(sys, "argv", ["fer_lightning", *map(str, args)])
        capfd.readouterr()
        failed = False
        try:
            module.main()
        except SystemExit as error:
            failed = error.code
        out, err = capfd.readouterr()
        return err if failed else None, squeeze(out)

    return run


@pytest.fixture(scope="module")
def browser():
    """A Chromium, with a camera that shows a test picture. Skipped by name where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no browser test: there is no Chromium")
    camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *camera])
