"""TensorBoard and MLflow hold what the run folder holds. W&B: test_wandb_offline.py."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from helpers.project import TINY

from fer_lightning.loggers import mirrors
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.module import FERModule


def run_folders(root):
    return sorted(path.parent for path in root.glob("**/result.json"))


def test_the_config_is_nested_and_the_cell_is_flat():
    job = {"id": "ab", "cell": {"head.act": "relu", "scheduler@phases.tune.scheduler": "step", "batch_size": 64}}
    found = mirrors.config({"optimizer.lr": 0.1, "optimizer.momentum": 0.9, "seed": 3, "phases": {}}, job, {"parameters": 7})
    assert found == {
        "cell": "head.act=relu scheduler@phases.tune.scheduler=step batch_size=64",
        "cell_head_act": "relu",
        "cell_scheduler_phases_tune_scheduler": "step",
        "cell_batch_size": "64",
        "job": "ab",
        "model": {"parameters": 7},
        "optimizer": {"lr": 0.1, "momentum": 0.9},
        "seed": 3,
    }
    assert mirrors.config({}, job | {"cell": {}}, {})["cell"] == "default"


def test_each_job_of_a_study_is_a_run_of_its_own_with_its_tags(monkeypatch):
    """W&B would take WANDB_RUN_ID for every one of them, and a text as a tag for each letter."""
    started = []
    monkeypatch.setenv("WANDB_RUN_ID", "same")
    monkeypatch.setattr("wandb.init", lambda **about: started.append(about) or MagicMock())
    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", lambda **_: None)
    for study, tags in (("a", "baseline"), ("a", ["baseline", "mine"]), ("single", [])):
        mirrors.wandb(project="p", folder="x", name="n", labels={"study": study}, tags=tags)
    first, second, single = started
    assert len({"same", first["id"], second["id"]}) == 3 and single["id"] is None
    assert [about["tags"][1:] for about in started] == [["baseline"], ["baseline", "mine"], []]


def test_the_confusion_image_tells_classes_apart():
    counts = [[0] * 7 for _ in range(7)]
    counts[2][5] = 9
    image = mirrors.confusion_image(counts)
    empty = mirrors.confusion_image([[0] * 7 for _ in range(7)])
    assert image.shape == empty.shape and image.shape[2] == 3 and image.dtype == "uint8"
    rows, columns = (image != empty).any(2).nonzero()
    height, width, _ = image.shape
    assert (rows.min() > 0.2 * height) and (rows.max() < 0.45 * height), "the third row"
    assert (columns.min() > 0.6 * width) and (columns.max() < 0.9 * width), "the sixth column"


def test_tensorboard_reads_back_every_epoch(command, tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert command(*TINY, "logger=tensorboard").code == 0
    (folder,) = run_folders(tmp_path)
    events = reader.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rows = read_metrics(folder)
    scores = set(rows[0]) - {"epoch", "step"}
    assert {"val/accuracy", "stability/grad_norm"} <= scores <= set(events.Tags()["scalars"])
    for name in scores:
        assert [event.value for event in events.Scalars(name)] == pytest.approx([row[name] for row in rows], nan_ok=True)
    result = read_result(folder)
    assert events.Scalars("test/accuracy")[0].value == pytest.approx(result["metrics"]["test"]["accuracy"])
    assert events.Scalars("best/val_loss")[0].value == pytest.approx(result["metrics"]["val"]["loss"])
    assert events.Tags()["images"] == ["test/confusion"]


def check_mlflow(client, folder, study, download):
    """That the store holds the run of a folder: settings, tags, every epoch, the scores, the files."""
    (experiment,) = client.search_experiments(filter_string="name = 'fer_lightning'")
    (run,) = client.search_runs([experiment.experiment_id], f"run_name = '{folder.name}'")
    result, rows = read_result(folder), read_metrics(folder)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer/lr"] == "0.1" and run.data.params["cell_head_act"] == "relu"
    assert run.data.params["model/parameters"] == str(result["model"]["parameters"])
    tags = {"study": study, "protocol": "official", "verdict": "synthetic", "head.act": "relu", "stability": result["stability"]["label"]}
    assert tags.items() <= run.data.tags.items()
    for name in set(rows[0]) - {"epoch", "step"}:
        logged = client.get_metric_history(run.info.run_id, name)
        assert [metric.value for metric in logged] == pytest.approx([row[name] for row in rows], nan_ok=True)
    assert run.data.metrics["test/accuracy"] == pytest.approx(result["metrics"]["test"]["accuracy"])
    assert run.data.metrics["stability/run_gap"] == pytest.approx(result["stability"]["gap"])
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"result.json", "metrics.csv", "steps.parquet", "predictions.parquet", "confusion.png"}
    copy = client.download_artifacts(run.info.run_id, "result.json", str(download))
    assert json.loads(Path(copy).read_text()) == result


@pytest.mark.slow
def test_mlflow_keeps_runs_in_a_file_of_its_own(command, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert command("-m", "head.act=relu", "head.norm=choice(bn)", "seed=0,1", "logger=mlflow", *TINY).code == 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    folders = run_folders(tmp_path / "multirun")
    assert len(folders) == 2
    for folder in folders:
        run = client.search_runs(["1"], f"run_name = '{folder.name}'")[0]
        assert run.data.tags["head.norm"] == "bn" and run.data.params["seed"] == folder.name[-1]

    monkeypatch.setattr(FERModule, "training_step", MagicMock(side_effect=RuntimeError("broken")))
    assert command("-m", "seed=2,3", "logger=mlflow", *TINY).code == 1
    failed = client.search_runs(["1"], "attributes.status = 'FAILED'")
    assert {run.info.run_name for run in failed} == {"s2", "s3"}


@pytest.mark.slow
def test_mlflow_sends_runs_to_a_server(process, tmp_path, tmp_path_factory):
    """A real `mlflow server` on this machine, which also keeps the files."""
    mlflow = pytest.importorskip("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("server")
    serve = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    serve += ["--backend-store-uri", f"sqlite:///{home / 'store.db'}", "--artifacts-destination", str(home / "files")]
    url = f"http://127.0.0.1:{port}"
    with open(home / "log", "w") as log:
        server = subprocess.Popen(serve, cwd=home, stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.5)
        done = process("fer_lightning", "-m", "head.act=relu,gelu", "logger=mlflow", *TINY, MLFLOW_TRACKING_URI=url)
        assert done.code == 0, done.text
        folder = next(folder for folder in run_folders(tmp_path) if folder.name == "relu-s0")
        check_mlflow(mlflow.MlflowClient(url), folder, folder.parent.name, home)
        assert not (tmp_path / "mlflow.db").exists() and not (tmp_path / "mlruns").exists()
    finally:
        server.terminate()
        server.wait(timeout=30)
