"""Each image passes through a frozen backbone once, and the results are the same."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from helpers.project import TINY, TWO
from torch import nn

from fer_lightning.process.signals import Interrupted, between_steps, listening
from fer_lightning.runs.result import read_result
from fer_lightning.training.feature_table import Table, content_digest
from fer_lightning.training.frozen_features import FrozenBackbone
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.views import Views

FROZEN = [*TINY, "logger=csv", "backbone.freeze=all", "stability.probe=1"]


@pytest.fixture
def images_seen(monkeypatch):
    """How many images have passed through the compact backbone in this process."""
    from fer_lightning.model.backbones.compact import CompactCNN

    seen = []
    forward = CompactCNN.forward
    monkeypatch.setattr(CompactCNN, "forward", lambda self, x: seen.append(len(x)) or forward(self, x))
    return seen


@pytest.mark.parametrize("augment", ["flip", pytest.param("mixup", marks=pytest.mark.slow)])
def test_jobs_that_share_a_frozen_backbone_leave_what_separate_jobs_leave(command, tmp_path, images_seen, augment):
    chosen = ["augment=flip_shift", "+augment.mixup=0.4"] if augment == "mixup" else [f"augment={augment}"]
    assert command("-m", *FROZEN, *chosen, "head.act=relu,mish,gelu", "hydra.sweep.dir=together").code == 0
    together = sum(images_seen)
    images_seen.clear()
    alone = {}
    for act in ("relu", "gelu"):  # the first, which fills the tables, and the last, which only reads them
        assert command(*FROZEN, *chosen, f"head.act={act}", f"hydra.run.dir=alone/{act}").code == 0
        alone[act] = sum(images_seen)
        images_seen.clear()
    for act, seen in alone.items():
        runs = tmp_path / "together" / f"{act}-s0", tmp_path / "alone" / act
        a, b = (json.loads((run / "result.json").read_text()) for run in runs)
        for part in ("train", "val", "test"):
            assert a["metrics"][part]["loss"] == pytest.approx(b["metrics"][part]["loss"], abs=1e-5)
        pd.testing.assert_frame_equal(*(pd.read_parquet(run / "predictions.parquet") for run in runs), atol=1e-5)
        assert together < 1.5 * seen  # of three jobs; the monitor's probe is not shared
    assert not (tmp_path / "together" / ".features").exists()


def test_a_frozen_phase_of_a_sweep_hands_on_to_fine_tuning_what_a_run_alone_does(command, recipe, tmp_path):
    chosen = [*recipe(TWO), "augment=flip", "precision=bf16-mixed"]
    assert command("-m", *chosen, "head.act=relu,gelu", "hydra.sweep.dir=together").code == 0
    assert command(*chosen, "head.act=gelu", "hydra.run.dir=alone").code == 0
    runs = tmp_path / "together" / "gelu-s0", tmp_path / "alone"
    a, b = (torch.load(run / "checkpoints" / "best.ckpt")["state_dict"] for run in runs)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    pd.testing.assert_frame_equal(*(pd.read_parquet(run / "predictions.parquet") for run in runs), atol=1e-5)


@pytest.fixture
def cached():
    """(a FrozenBackbone of ten images, whose features are an image's first row; the sizes of the batches it has computed; the images)."""
    computed = []

    def compute(pixels):
        computed.append(len(pixels))
        return first_rows(pixels)

    return FrozenBackbone(compute, 10), computed, torch.arange(10 * 4, dtype=torch.uint8).view(10, 1, 2, 2)


def first_rows(pixels):
    return pixels[:, 0, 0].float()


def test_each_still_is_computed_once(cached):
    frozen, computed, images = cached
    rows = torch.tensor([7, 1, 2])
    plain = Views()
    for _ in range(2):
        assert torch.equal(frozen.evaluation(images[rows], rows, plain), first_rows(images[rows]))
        assert sum(computed) == 3
    frozen.evaluation(images[:3], torch.arange(3), plain)
    assert sum(computed) == 4  # only row 0 is new
    both = frozen.evaluation(images[rows], rows, Views("flip"))
    assert torch.equal(both, first_rows(torch.cat([images[rows], images[rows].flip(-1)])))
    assert sum(computed) == 7  # the mirror images were new


def test_training_with_flips_takes_what_evaluation_has_computed(cached):
    """An image of one grey level is equal to its mirror image: what counts is what the augmentation drew."""
    frozen, computed, images = cached
    rows, labels = torch.arange(10), torch.arange(10) % 7
    images[3] = 9
    frozen.evaluation(images, rows, Views())
    torch.manual_seed(1)
    shown, _ = Augment(flip=0.5)(images, labels)
    torch.manual_seed(1)
    mirrored = Augment(flip=0.5).draw_flips(images)
    assert mirrored[3] and 0 < mirrored.sum() < 10
    for _ in range(2):
        torch.manual_seed(1)
        features, targets = frozen.training((images, labels, rows), Augment(flip=0.5), epoch=0)
        assert torch.equal(features, first_rows(shown)) and torch.equal(targets, labels)
    assert sum(computed) == 10 + mirrored.sum()


def test_crops_are_not_taken_for_whole_images(cached):
    frozen, computed, images = cached
    rows = torch.arange(10)
    frozen.evaluation(images, rows, Views())
    big = torch.arange(10 * 16, dtype=torch.uint8).view(10, 1, 4, 4)
    assert torch.equal(frozen.evaluation(big, rows, Views(size=2)), first_rows(big[..., 1:3, 1:3]))
    assert sum(computed) == 20


def test_a_table_keeps_views_and_soft_targets_in_their_order(tmp_path):
    table = Table(tmp_path / "deep" / "epoch-0.pt", 6)
    slots = torch.tensor([4, 0, 5])
    features, targets = torch.randn(6, 8), torch.rand(6, 7)  # two views of three images: all first ones, then all second ones
    with torch.inference_mode():
        table.keep(slots, features, targets)
    table.save()
    again = Table(table.path, 6)
    assert again.known.tolist() == [True, False, False, False, True, True]
    for got, expected in zip(again.recall(slots, "cpu"), (features, targets), strict=True):
        torch.testing.assert_close(got, expected)
    again.keep(torch.tensor([1]), torch.zeros(2, 8), torch.zeros(2, 7))
    again.save()
    assert Table(table.path, 6).known.sum() == 4
    assert [path.name for path in table.path.parent.iterdir()] == ["epoch-0.pt"]


def test_a_table_that_finds_no_room_is_not_written(tmp_path, caplog, monkeypatch):
    table = Table(tmp_path / "stills.pt", 2)
    table.keep(torch.tensor([0]), torch.zeros(1, 3))
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=40))  # it takes 24
    table.save()
    assert "not kept" in caplog.text and not list(tmp_path.iterdir())


def _table(path, slots, wide=8):
    table = Table(path, slots)
    table.keep(torch.arange(slots), torch.arange(slots * wide).view(slots, wide).float())
    return table


@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", lambda whole: b"no archive" + whole[10:]])
def test_a_damaged_table_is_filled_anew(tmp_path, caplog, damage):
    path = tmp_path / "stills.pt"
    _table(path, 4).save()
    path.write_bytes(damage(path.read_bytes()))
    again = Table(path, 4)
    assert not again.known.any() and "damaged" in caplog.text
    _table(path, 4).save()
    assert Table(path, 4).known.all()


@contextmanager
def no_file_above(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_while_a_table_is_written_stops_nothing(tmp_path, caplog):
    path = tmp_path / "stills.pt"
    large = _table(path, 4, wide=10_000)
    _table(path, 4).save()
    whole = path.read_bytes()
    with no_file_above(10_000):
        large.save()
    assert "not kept" in caplog.text
    assert [file.name for file in tmp_path.iterdir()] == ["stills.pt"] and path.read_bytes() == whole


def test_jobs_that_write_one_table_at_once_leave_a_whole_one(tmp_path, process):
    code = (
        "import sys, torch; from pathlib import Path; from fer_lightning.training.feature_table import Table\n"
        "for _ in range(20):\n"
        "    table = Table(Path('stills.pt'), 50)\n"
        "    assert not table.known.any() or (table.recall(torch.arange(50), 'cpu')[0] == torch.arange(50.)[:, None]).all()\n"
        "    table.keep(torch.arange(50), torch.arange(50.)[:, None].expand(50, 400)); table.save()\n"
    )
    (tmp_path / "writer.py").write_text(code)
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda _: process("writer", PYTHONWARNINGS="error"), range(2)):
            assert done.code == 0 and "damaged" not in done.text, done.text
    assert sorted(file.name for file in tmp_path.glob("*.pt*")) == ["stills.pt"]


def test_a_job_that_needs_a_table_while_it_is_filled_waits_and_computes_nothing(tmp_path):
    slots = torch.arange(3)
    table = Table(tmp_path / "new" / "stills.pt", 3)
    assert table.lacks(slots).all()
    with ThreadPoolExecutor() as pool:
        coming = pool.submit(lambda: Table(table.path, 3).lacks(slots))
        with pytest.raises(TimeoutError):
            coming.result(timeout=0.5)
        table.keep(slots, torch.zeros(3, 4))
        table.save()
        assert not coming.result(timeout=30).any()
    assert Table(table.path, 3)._lock.acquire(timeout=0)


def test_who_waits_for_a_table_can_be_interrupted(tmp_path):
    table = Table(tmp_path / "stills.pt", 3)
    assert table.lacks(torch.arange(3)).all()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted), listening(), between_steps():
        Table(table.path, 3).lacks(torch.arange(3))
        pytest.fail("it did not wait")


def test_a_table_whose_filler_is_killed_is_filled_by_the_next(tmp_path):
    code = (
        "import os, torch; from pathlib import Path; from fer_lightning.training.feature_table import Table\n"
        "Table(Path('stills.pt'), 3).lacks(torch.arange(3)); print('mine', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "mine\n" and done.returncode == -9
    assert Table(tmp_path / "stills.pt", 3).lacks(torch.arange(3)).all()


def test_a_job_that_fails_in_its_first_epoch_leaves_the_table_to_the_next(command, tmp_path, monkeypatch):
    from fer_lightning.training.epoch_record import EpochRecord

    end = EpochRecord.on_train_batch_end

    def fail(record, trainer, module, *args):
        if isinstance(module.head[2], torch.nn.ReLU):
            raise RuntimeError("broken")
        end(record, trainer, module, *args)

    monkeypatch.setattr(EpochRecord, "on_train_batch_end", fail)
    # what the jobs share goes with the sweep
    monkeypatch.setattr("fer_lightning.sweep.command.shutil.rmtree", lambda *args, **kwargs: None)
    assert command("-m", *FROZEN, "augment=none", "head.act=relu,gelu", "hydra.sweep.dir=sweep").code == 1
    assert [read_result(tmp_path / "sweep" / f"{act}-s0")["status"] for act in ("relu", "gelu")] == ["failed", "done"]
    (table,) = tmp_path.glob("sweep/.features/*/stills.pt")
    assert Table(table, 160).known[:160].all()


def test_what_is_known_when_an_epoch_ends_outlives_an_interruption(command, images_seen, monkeypatch):
    from fer_lightning.training.epoch_record import EpochRecord

    sweep = ["-m", *FROZEN, "augment=none", "head.act=relu,gelu", "hydra.sweep.dir=sweep"]
    start = EpochRecord.on_train_epoch_start
    with monkeypatch.context() as patch:
        patch.setattr(EpochRecord, "on_train_epoch_start", lambda *args: start(*args) or _interrupt(args[1].current_epoch))
        assert command(*sweep).code == 130
    assert sum(images_seen) > 96
    images_seen.clear()
    assert command(*sweep).code == 0
    assert sum(images_seen) < 64  # the test part, probes and sizes


def _interrupt(epoch):
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGINT)


def test_views_that_are_whole_images_are_computed_once_too(command, images_seen):
    assert command("-m", *FROZEN, "augment=flip", "evaluation=flip", "head.act=relu,mish", "hydra.sweep.dir=flipped").code == 0
    two = sum(images_seen)
    images_seen.clear()
    assert command(*FROZEN, "augment=flip", "evaluation=flip", "head.act=relu", "hydra.run.dir=alone").code == 0
    assert two - sum(images_seen) <= 3  # the second job computes its probe and its size


def test_averaging_leaves_what_lightning_would_average(command, tmp_path, monkeypatch):
    """Of a frozen backbone and the head behind it: the weights that are selected, and those that training goes on from."""
    from lightning.pytorch.callbacks import WeightAveraging

    assert command(*FROZEN, "hydra.run.dir=ours").code == 0
    monkeypatch.setattr("fer_lightning.training.build.TrainedAveraging", WeightAveraging)
    assert command(*FROZEN, "hydra.run.dir=theirs").code == 0
    ours, theirs = (torch.load(tmp_path / run / "checkpoints" / "best.ckpt") for run in ("ours", "theirs"))
    assert ours["epoch"] == theirs["epoch"]
    torch.testing.assert_close(ours["state_dict"], theirs["state_dict"], rtol=0, atol=0)


def test_a_digest_changes_with_every_weight_and_value():
    linear = nn.Linear(3, 2)
    before = content_digest(linear.state_dict(), "bf16", torch.arange(3))
    assert before == content_digest({name: value.clone() for name, value in linear.state_dict().items()}, "bf16", torch.arange(3))
    assert before != content_digest(linear.state_dict(), "32", torch.arange(3))
    assert before != content_digest(linear.state_dict(), "bf16", torch.arange(1, 4))
    linear.bias.data[1] += 1e-6
    assert before != content_digest(linear.state_dict(), "bf16", torch.arange(3))
