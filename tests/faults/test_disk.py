"""Disks that are full and checkpoints that are not what was written."""

import os
import pickle
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import torch
from helpers.project import TINY

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.checkpoints import AtomicCheckpoints, read_checkpoint, read_last

SMALL = [*TINY, "logger=csv", "backbone.widths=[8,8,16]", "stability.probe=8"]


@contextmanager
def small_disk(folder, kilobytes):
    """A file system of its own at `folder`, so full that it can be filled."""
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_fails_the_job_says_so_and_is_made_good(command, tmp_path):
    """There is room for the first checkpoints but not for a second file beside the first; then somebody makes room."""
    with small_disk(tmp_path / "disk", 1000) as disk:
        run = ["hydra.run.dir=disk/run", *SMALL, "trainer.max_epochs=3"]
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(880_000))
        done = command(*run)
        assert done.code == 1 and "the disk is full" in done.text and "Make room" in done.text, done.text
        result = read_result(disk / "run")
        assert result["status"] == "failed" and "the disk is full" in result["error"]["message"]
        assert not [path for path in disk.glob("run/**/*") if path.is_file() and path.stat().st_size == 0 and path.name != ".lock"]
        ballast.unlink()
        done = command(*run)
        assert done.code == 0, done.text
        assert [row["epoch"] for row in read_metrics(disk / "run")] == [0, 1, 2]


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path):
    with small_disk(tmp_path / "disk", 300) as disk:
        path = disk / "checkpoints" / "last.ckpt"
        AtomicCheckpoints().save_checkpoint({"epoch": 1, "state_dict": {"w": torch.zeros(40_000)}}, path)
        with pytest.raises(OSError, match="No space left"):
            AtomicCheckpoints().save_checkpoint({"epoch": 2, "state_dict": {"w": torch.zeros(40_000)}}, path)
        assert read_checkpoint(path)["epoch"] == 1
        assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, "x" * 400_000)
        assert read_checkpoint(path)["epoch"] == 1


@pytest.fixture
def checkpoint(command, tmp_path):
    """last.ckpt of a real run that has had one epoch."""
    from fer_lightning.training import train

    kept = tmp_path / "kept.ckpt"
    load_selected = train.load_selected

    def keep(module, folder, *rest, **select):
        shutil.copy(folder / "checkpoints" / "last.ckpt", kept)
        return load_selected(module, folder, *rest, **select)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "load_selected", keep)
        assert command(*SMALL, "hydra.run.dir=run").code == 0
    return kept


def test_a_checkpoint_cut_anywhere_is_refused_and_the_job_starts_anew(checkpoint, tmp_path):
    whole = checkpoint.read_bytes()
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(whole)
    assert read_last(tmp_path / "cut")["epoch"] == 1
    for length in [*range(0, len(whole), 4096), len(whole) - 1]:
        last.write_bytes(whole[:length])
        assert read_last(tmp_path / "cut") is None, length
        with pytest.raises(UserError, match=r"last\.ckpt is damaged, or no checkpoint of ours"):
            read_checkpoint(last)


def test_a_flipped_bit_is_seen_wherever_it_is(checkpoint, tmp_path):
    """torch alone loads it. Only bits that nothing depends on may pass, such as the time in a header; then all values are as written."""
    whole = bytearray(checkpoint.read_bytes())
    expected = read_checkpoint(checkpoint)
    flipped = tmp_path / "flipped.ckpt"
    refused = 0
    places = range(7, len(whole), max(1, len(whole) // 150))
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        flipped.write_bytes(damaged)
        try:
            found = read_checkpoint(flipped)
        except UserError:
            refused += 1
            continue
        assert all(torch.equal(found["state_dict"][name], value) for name, value in expected["state_dict"].items()), place
    assert refused > 0.8 * len(places)


def test_a_checkpoint_of_anything_else_is_refused_and_does_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    torch.save({"state_dict": Payload()}, tmp_path / "bomb.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Payload()))
    for name in ("bomb.ckpt", "plain.ckpt"):
        with pytest.raises(UserError, match="is damaged, or no checkpoint of ours"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "it ran").exists()
