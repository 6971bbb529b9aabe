"""Every test runs on one thread, offline, with a cache of its own."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"

# The real FER-2013, for the tests that need it; they are skipped by this reason where there is none.
TABLE = Path(os.environ.get("FER2013_ROOT") or ROOT / "data").absolute()
TABLE = TABLE / "fer2013.csv" if TABLE.is_dir() else TABLE
needs_fer2013 = pytest.mark.skipif(not TABLE.is_file(), reason="no fer2013.csv in $FER2013_ROOT or data/")

# Two threads beside another busy process run 3 to 80 times slower than alone; one hardly suffers.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
# Else matplotlib lists the fonts anew, ten seconds, in the cache of each test that draws first.
os.environ.setdefault("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))

# The compact CNN on a handful of drawn faces: a job of about a second.
TINY = ["data=synthetic", "data.train=96", "data.val=32", "data.test=32", "trainer=smoke", "batch_size=32", "backbone.widths=[8,8,16]"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Runs `python -m fer_lightning ARGS`, or another command's main, inside this process, in tmp_path.

    Returns code and text (stdout and stderr).
    """
    from fer_lightning import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*args, main=cli.main):
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


def compose(*overrides, **options):
    """The config of a job, as Hydra makes it."""
    from hydra import compose, initialize_config_dir

    import fer_lightning.cli  # noqa: F401  (schema and resolvers)

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), **options)


def options(group):
    """All shipped options of a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def squeeze(text):
    return re.sub(r"\s+", " ", text)
