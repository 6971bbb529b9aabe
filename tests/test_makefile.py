"""`make sweep` finds the data wherever their place is said."""

import os
import shutil
import subprocess
import sys

import pytest
from helpers.project import ROOT

PYTHON = f"""#!/bin/sh
case "$*" in
  *data.fer2013*) PYTHONPATH={ROOT} exec {sys.executable} "$@" ;;
  *) echo "trains $FER2013_ROOT: $*" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """Runs make in a folder whose .venv is there and does not train. `here` is the folder."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text(PYTHON)
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    (tmp_path / ".venv" / ".done").touch()
    os.utime(tmp_path / "pyproject.toml", (1, 1))

    def run(*arguments, **env):
        without = {name: value for name, value in os.environ.items() if name != "FER2013_ROOT"}
        return subprocess.run(["make", "sweep", *arguments], cwd=tmp_path, env=without | env, capture_output=True, text=True).stdout

    return run


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "my data").mkdir()
    (tmp_path / "my data" / "fer2013.csv").touch()
    return tmp_path / "my data"


def test_the_place_is_said_to_make_to_the_shell_or_by_a_tilde(make, copy, tmp_path):
    for arguments, env in (
        ([f"FER2013_ROOT={copy}"], {}),
        ([], {"FER2013_ROOT": str(copy)}),
        (["FER2013_ROOT=~/my data"], {"HOME": str(tmp_path)}),
        (["FER2013_ROOT=my data/fer2013.csv"], {}),
    ):
        said = make(*arguments, **env)
        assert "Data: FER-2013 in " in said and said.count("data=fer2013") == 1 and "recipe=tour" not in said, said
    assert ". .venv/bin/activate" in said


def test_without_data_faces_are_drawn(make):
    said = make("ARGS=seed=1")
    assert "Data: synthetic faces" in said and "recipe=tour seed=1" in said and "data=fer2013" not in said
