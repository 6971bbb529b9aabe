"""Locks on file systems that have none."""

import errno
import fcntl
import logging
from contextlib import ExitStack

import pytest
import torch

from fer_lightning.process.locks import acquire, file_lock
from fer_lightning.sweep.lock import is_locked, leave_to_others, locked, wait_for_others
from fer_lightning.training.feature_table import Table

NONE = ["ENOLCK", "EOPNOTSUPP", "EINVAL", "EIO", "ESTALE", "EACCES", "ENOSYS", "EPERM"]


@pytest.fixture(params=NONE)
def no_locks(request, monkeypatch):
    def flock(fd, operation):
        raise OSError(getattr(errno, request.param), "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_without_locks_a_job_runs_with_a_warning(no_locks, tmp_path, caplog):
    with caplog.at_level(logging.WARNING), locked(tmp_path) as ours:
        assert ours and not is_locked(tmp_path)
    assert "a file system without locks" in caplog.text and "do not let two processes" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] in ([".lock"], [])


def test_without_locks_nobody_waits_for_features(no_locks, tmp_path):
    assert Table(tmp_path / "stills.pt", 3).lacks(torch.arange(3)).all()


def test_a_lock_that_somebody_has_is_no_lack_of_locks(tmp_path):
    other = file_lock(tmp_path / ".lock")
    assert acquire(other, 0)
    with locked(tmp_path) as ours:
        assert not ours and is_locked(tmp_path)
    other.release()
    with locked(tmp_path) as ours:
        assert ours
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_folder_that_is_gone_is_not_locked_and_one_that_cannot_be_written_is_named(tmp_path):
    assert not is_locked(tmp_path / "gone")
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OSError) as error, locked(tmp_path):
        pass
    assert str(tmp_path / ".lock") in str(error.value.filename)


def test_what_a_killed_process_left_goes_with_the_next_lock(tmp_path):
    for name in (".result.json.0123abcd.tmp", ".mine"):
        (tmp_path / name).touch()
    other = file_lock(tmp_path / ".lock")
    assert acquire(other, 0)
    with locked(tmp_path):
        assert (tmp_path / ".result.json.0123abcd.tmp").exists()
    other.release()
    with locked(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".mine"}


def test_only_jobs_that_still_run_are_waited_for(tmp_path, capsys, monkeypatch):
    """One of two that were left to others ended long ago; the other one ends at the first look."""
    done, running = tmp_path / "done", tmp_path / "running"
    for folder in (done, running):
        folder.mkdir()
        leave_to_others(folder, "sweep")
    with ExitStack() as other:
        other.enter_context(locked(running))
        monkeypatch.setattr("time.sleep", lambda _: other.close())
        assert wait_for_others(tmp_path, "sweep")
    assert capsys.readouterr().out == "waiting for jobs that other processes run: running\n"
    leave_to_others(done, "sweep")
    assert wait_for_others(tmp_path, "sweep") and capsys.readouterr().out == ""
    assert not wait_for_others(tmp_path, "sweep")
