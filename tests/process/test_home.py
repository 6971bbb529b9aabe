"""A user without a home folder, as in a container with an unknown user id."""

import os
import pwd
from pathlib import Path

import pytest

from fer_lightning.process.home import ensure_home


@pytest.fixture
def nobody(monkeypatch):
    def unknown(_):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")  # so that it is put back after the test
        monkeypatch.delenv(name)


def test_a_home_is_made_for_the_time_of_the_command(nobody, capsys):
    with pytest.raises(RuntimeError):
        Path.home()
    ensure_home()
    assert Path.home().is_dir() and os.stat(Path.home()).st_mode & 0o077 == 0
    assert "This user has no home folder" in capsys.readouterr().err


def test_a_home_that_is_known_stays(capsys):
    before = os.environ.get("HOME")
    ensure_home()
    assert os.environ.get("HOME") == before and capsys.readouterr().err == ""
