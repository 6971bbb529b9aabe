"""One job on several real processes against one: the same gradients and weights, each image once; and how it ends when one is lost."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from helpers.project import squeeze
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fer_lightning.process import ranks
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result

# No norm in training mode and no dropout, which differ from process to process; sizes that two processes cannot share evenly.
RAGGED = ["data=synthetic", "data.train=97", "data.val=33", "data.test=35", "logger=csv", "precision=32-true", "stability.probe=8"]
RAGGED += ["backbone.widths=[8,8,16]", "backbone.freeze=norms", "head.dropout=0", "batch_size=32", "eval_batch_size=16"]
RAGGED += ["epochs=2", "optimizer.lr=0.01", "scheduler=constant", "loss.weights=balanced"]
MIXED = ["head.norm=none", "augment=flip_shift", "+augment.mixup=0.4"]
TWO = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]

IMAGES, VIEWS = 7, 2


def step(net, wrap):
    """Loss and gradients of one weighted batch, seven images seen twice, in double precision."""
    net = wrap(net)
    torch.manual_seed(0)
    inputs, labels = torch.randn(VIEWS * IMAGES, 3).double(), torch.arange(VIEWS * IMAGES) % 5
    logits = ranks.gather(net(ranks.share(inputs, IMAGES)), IMAGES)
    loss = F.cross_entropy(logits, labels, torch.arange(1, 6).double(), label_smoothing=0.1)
    loss.backward()
    return [loss.detach(), logits.detach(), *(p.grad for p in net.parameters())]


def make_net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 5)).double()


def step_on_a_rank(rank, count, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count)
    torch.save(step(make_net(), DistributedDataParallel), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_loss_logits_and_gradients_are_those_of_one_process(tmp_path):
    alone = step(make_net(), lambda net: net)
    torch.multiprocessing.start_processes(step_on_a_rank, (3, tmp_path), 3)
    for rank in range(3):
        for got, expected in zip(torch.load(tmp_path / f"{rank}.pt"), alone, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def assert_same_record(two, one):
    for name in ("metrics.csv", "steps.parquet", "predictions.parquet", "checkpoints/best.ckpt"):
        assert (two / name).is_file(), name
    steps = [pd.read_parquet(folder / "steps.parquet") for folder in (two, one)]
    pd.testing.assert_frame_equal(*steps, rtol=1e-3)
    pd.testing.assert_frame_equal(*(pd.read_parquet(folder / "predictions.parquet") for folder in (two, one)), atol=1e-4)
    weights = [torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True) for folder in (two, one)]
    assert weights[0]["epoch"] == weights[1]["epoch"]
    for key, value in weights[1]["state_dict"].items():
        torch.testing.assert_close(weights[0]["state_dict"][key], value, rtol=1e-3, atol=1e-4)
    for a, b in zip(*(read_metrics(folder) for folder in (two, one)), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-4, nan_ok=True)
    assert read_result(two)["metrics"]["test"]["confusion"] == read_result(one)["metrics"]["test"]["confusion"]


def test_two_processes_leave_what_one_leaves(process, command, tmp_path):
    done = process("fer_lightning", *RAGGED, *MIXED, *TWO, "hydra.run.dir=two")
    assert done.code == 0, done.text
    assert command(*RAGGED, *MIXED, "hydra.run.dir=one").code == 0
    assert_same_record(tmp_path / "two", tmp_path / "one")
    predictions = pd.read_parquet(tmp_path / "two" / "predictions.parquet")
    assert predictions["row"].is_unique and predictions["split"].value_counts().to_dict() == {"val": 33, "test": 35}
    files = [sorted(path.name for path in (tmp_path / name).rglob("*")) for name in ("two", "one")]
    assert files[0] == files[1]
    assert done.text.count("epoch 2/2") == 1 and "Warning" not in done.text
    assert (tmp_path / "two" / "fer_lightning.log").read_text().count("epoch 2/2") == 1


@pytest.mark.slow
def test_a_sweep_on_two_processes_is_the_sweep_on_one(process, command, tmp_path):
    grid = ["-m", "head.act=relu,gelu", *RAGGED, *MIXED, "backbone.freeze=all", "logger=[csv,wandb]"]
    done = process("fer_lightning", *grid, *TWO, "hydra.sweep.dir=two")
    assert done.code == 0 and "2 of 2 jobs done" in done.text, done.text
    assert command(*grid, "hydra.sweep.dir=one").code == 0
    for name in ("relu-s0", "gelu-s0"):
        assert_same_record(tmp_path / "two" / name, tmp_path / "one" / name)
        assert len(list((tmp_path / "two" / name).glob("wandb/offline-run-*"))) == 1
    again = process("fer_lightning", *grid, *TWO, "hydra.sweep.dir=two")
    assert again.text.count("already done") == 2


@pytest.mark.slow
def test_a_frozen_backbone_with_batch_norm_in_the_head_and_averaged_weights(process, tmp_path):
    """Each process has features and statistics of its own; what is validated is what is saved, and that is what is tested."""
    frozen = ["backbone.freeze=all", "head.norm=bn", "augment=flip", "stability.sharpness_every=1"]
    done = process("fer_lightning", *RAGGED, *TWO, *frozen, "hydra.run.dir=two")
    assert done.code == 0, done.text
    result, rows = read_result(tmp_path / "two"), read_metrics(tmp_path / "two")
    assert result["environment"]["processes"] == 2
    assert result["metrics"]["val"]["loss"] == pytest.approx(rows[int(result["selected"]["epoch"])]["val/loss"], rel=1e-5)


def children(pid):
    """The processes of a job, by their parent, in the order they were started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        pids = sorted(int(child) for child in file.read().split())
    return [child for child in pids if b"spawn_main" in open(f"/proc/{child}/cmdline", "rb").read()]


@pytest.fixture
def started(tmp_path):
    """A command that trains for long on two processes, and these, once the first epoch is over."""
    args = [sys.executable, "-m", "fer_lightning", *RAGGED, *TWO, "epochs=1000", "hydra.run.dir=two"]
    running = subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (tmp_path / "two" / "metrics.csv").exists():
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.1)
    yield running, children(running.pid)
    running.kill()


def gone(pid):
    """Whether a process has ended, though nobody may have asked how."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


needs_proc = pytest.mark.skipif(not os.path.exists(f"/proc/self/task/{os.getpid()}/children"), reason="no /proc")


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_process_ends_the_job_with_a_sentence(started, tmp_path, lost):
    running, pids = started
    os.kill(pids[lost], signal.SIGKILL)
    text, _ = running.communicate(timeout=120)
    assert running.returncode == 1
    assert f"Process {lost + 1} of the 2 of this job was ended by SIGKILL" in squeeze(text)
    assert read_result(tmp_path / "two")["status"] == "failed" and all(map(gone, pids))


@pytest.mark.slow
@needs_proc
def test_ctrl_c_reaches_every_process(started, tmp_path):
    running, pids = started
    running.send_signal(signal.SIGINT)
    text, _ = running.communicate(timeout=120)
    assert running.returncode == 130, text
    assert read_result(tmp_path / "two")["status"] == "interrupted" and all(map(gone, pids))


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("hung", [[1], [0, 1]])
def test_a_second_signal_ends_processes_that_hang(started, tmp_path, hung):
    """A stopped process hears as little as one that hangs in a library."""
    running, pids = started
    for rank in hung:
        os.kill(pids[rank], signal.SIGSTOP)
    running.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    running.send_signal(signal.SIGTERM)
    began = time.monotonic()
    text, _ = running.communicate(timeout=60)
    assert running.returncode == 143, text
    assert time.monotonic() - began < 15  # 10, and a busy machine
    assert read_result(tmp_path / "two")["status"] == "interrupted" and all(map(gone, pids))


@pytest.mark.slow
@needs_proc
def test_no_process_outlives_a_killed_command(started):
    running, pids = started
    running.kill()
    running.communicate(timeout=120)
    until = time.monotonic() + 60
    while not all(map(gone, pids)) and time.monotonic() < until:
        time.sleep(0.2)
    assert len(pids) == 2 and all(map(gone, pids))


@pytest.mark.slow
def test_what_one_process_raises_is_what_the_job_ends_with(process, tmp_path):
    """The first process alone writes; the second is waiting for it by then."""
    (tmp_path / "two" / "metrics.csv").mkdir(parents=True)
    done = process("fer_lightning", *RAGGED, *TWO, "hydra.run.dir=two")
    assert done.code == 1
    error = json.loads((tmp_path / "two" / "result.json").read_text())["error"]
    assert error["type"] == "IsADirectoryError" and "metrics.csv" in error["message"] and "in clear" in error["traceback"]


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (["trainer.devices=3"], "batch_size=32 is of all processes together: with trainer.devices=3 give a multiple of 3, 6 or more."),
        (["batch_size=2"], "batch_size=2 is of all processes together: with trainer.devices=2 give a multiple of 2, 4 or more."),
        (["trainer.strategy=dpp"], "trainer.devices=2, trainer.strategy=dpp: You selected an invalid strategy name"),
        (["trainer.strategy=ddp_spawn"], "trainer.strategy=ddp_spawn: several processes train with ddp or ddp_find_unused"),
        (["trainer.strategy=fsdp"], "trainer.strategy=fsdp"),
        (["trainer.sync_batchnorm=true"], "trainer.sync_batchnorm=true: torch synchronises batch norm on GPUs only"),
        (["+trainer.num_nodes=2"], "trainer.num_nodes=2: a job runs on one machine"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(command, tmp_path, wrong, sentence):
    done = command(*RAGGED, *TWO, *wrong, "hydra.run.dir=two")
    assert done.code == 1 and sentence in squeeze(done.text) and "Traceback" not in done.text, done.text


def test_torchrun_is_refused(command, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    done = command(*RAGGED)
    assert done.code == 1 and "without torchrun" in done.text


@pytest.mark.slow
def test_fewer_images_than_processes_are_refused(process, tmp_path):
    done = process("fer_lightning", *RAGGED, *TWO, "data.test=1", "hydra.run.dir=two")
    assert done.code == 1 and "the test part has 1 images, fewer than processes" in squeeze(done.text)
    assert "Traceback" not in done.text
