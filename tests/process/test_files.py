"""Files that are written completely or not at all."""

import errno
import os
import re

import pytest

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, make_folder, replacing


def test_a_disk_that_fills_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OSError) as full, replacing(path) as part:
        part.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does, without a name
    assert full.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "real.csv").touch()
    (tmp_path / "link.csv").symlink_to("real.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    check_writable(tmp_path / "real.csv")
    for name, reason in (
        (".", "it is a folder"),
        ("no/a.csv", f"there is no folder {tmp_path / 'no'}"),
        ("link.csv", "it is a link, a pipe or a device"),
        ("pipe.csv", "it is a link, a pipe or a device"),
    ):
        with pytest.raises(UserError, match=f"cannot be written: {re.escape(reason)}"):
            check_writable(tmp_path / name)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    for check, path in ((check_writable, tmp_path / "new.csv"), (make_folder, tmp_path)):
        with pytest.raises(UserError, match="You may not write to the folder .*: choose another"):
            check(path)


def test_a_temporary_file_that_cannot_be_made_has_the_name_of_the_file(tmp_path):
    path = tmp_path / "no" / "a.csv"
    with pytest.raises(OSError) as gone, replacing(path):
        pass
    assert gone.value.filename == str(path)
