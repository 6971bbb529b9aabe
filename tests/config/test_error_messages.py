"""What the system refuses, in one sentence: which file, why, what to do."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from fer_lightning.config import error_messages
from fer_lightning.config.error_messages import explain


def disk(**values):
    """What statvfs says of a disk with 1 GB and 1000 inodes free, but for some values."""
    free = {"f_files": 2000, "f_favail": 1000, "f_bavail": 250_000, "f_frsize": 4096}
    return type("Disk", (), free | values)


@pytest.fixture
def disks(monkeypatch, tmp_path):
    """Makes the disk of one folder full in a way; all others have room."""

    def full(folder, **values):
        monkeypatch.setattr(os, "statvfs", lambda path: disk(**(values if Path(path) == folder else {})))

    return full


def test_a_full_disk_is_named_by_the_file(disks, tmp_path):
    disks(tmp_path, f_bavail=0)
    said = explain(OSError(errno.ENOSPC, "No space left", str(tmp_path / "new" / "result.json")))
    assert said.startswith(f"{tmp_path}/new/result.json: the disk is full (no space: 0.0 MB free)") and "study.rerun=failed" in said


def test_a_full_table_of_inodes_is_no_lack_of_megabytes(disks, tmp_path):
    disks(tmp_path, f_favail=0)
    assert "no inode free" in explain(OSError(errno.ENOSPC, "No space left", str(tmp_path / "result.json")))


def test_a_quota_is_guessed_where_there_is_room(disks, tmp_path):
    disks(tmp_path)
    assert "1024.0 MB free; if that is enough, a quota" in explain(OSError(errno.EDQUOT, "Disk quota exceeded", str(tmp_path / "x")))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), sqlite3.OperationalError("database or disk is full")])
def test_without_a_name_the_disk_that_is_full_is_named_and_not_the_current_one(disks, tmp_path, monkeypatch, error):
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    disks(tmp_path / "cache", f_bavail=10)
    assert explain(error).startswith(f"{tmp_path}/cache: the disk is full")
    disks(tmp_path / "nowhere")
    assert explain(error).startswith("A disk is full, and the system does not say which one")


@pytest.mark.parametrize("number", sorted(error_messages.SYSTEM))
def test_what_the_system_refuses_is_one_sentence_about_the_file(number):
    said = explain(OSError(number, "", "out/metrics.csv"))
    assert said.startswith("out/metrics.csv: ") and os.strerror(number) in said and "\n" not in said


def test_a_folder_that_was_removed_is_named(tmp_path):
    said = explain(FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "run" / "metrics.csv")))
    assert said.startswith(f"{tmp_path}/run is gone")


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path):
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "x"))) is None and explain(OSError("odd")) is None
