"""Where the project is, its smallest job, and configs as Hydra composes them."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CONF = ROOT / "conf"

# The real FER-2013, for the tests that need it; they are skipped by this reason if there is none.
TABLE = Path(os.environ.get("FER2013_ROOT") or ROOT / "data").absolute()
TABLE = TABLE / "fer2013.csv" if TABLE.is_dir() else TABLE
needs_fer2013 = pytest.mark.skipif(not TABLE.is_file(), reason="no fer2013.csv in $FER2013_ROOT or data/")

# onnxruntime-web as `npm pack` leaves it, for the tests of the page that `export` makes; they are skipped by this name if it is not there.
RUNTIME = Path(os.environ.get("ONNXRUNTIME_WEB") or ROOT / "onnxruntime-web-1.30.0.tgz").absolute()

# The compact CNN on a handful of drawn faces: a job of about a second.
TINY = ["data=synthetic", "data.train=96", "data.val=32", "data.test=32", "trainer=smoke", "batch_size=32", "backbone.widths=[8,8,16]"]


def compose(*overrides, **options):
    """The config of a job, as Hydra makes it."""
    from hydra import compose, initialize_config_dir

    import fer_lightning.sweep.command  # noqa: F401  (schema and resolvers)

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), **options)


def options(group):
    """All shipped options of a config group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def squeeze(text):
    return re.sub(r"\s+", " ", text)


def run_folders(root):
    return sorted(path.parent for path in root.glob("**/result.json"))


# A recipe of two phases, for the fixture `recipe`.
TWO = """
defaults:
  - /optimizer@phases.2_rest.optimizer: adamw
  - /scheduler@phases.2_rest.scheduler: plateau
phases:
  1_head: {epochs: 3, freeze: all}
  2_rest: {epochs: 7, freeze: norms, start: best}
"""


