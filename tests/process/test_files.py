"""Files that are written completely or not at all."""

import errno

import pytest

from fer_lightning.process.files import replacing


def test_a_disk_that_fills_names_the_file_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(OSError) as full, replacing(path) as part:
        part.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does, without a name
    assert full.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
