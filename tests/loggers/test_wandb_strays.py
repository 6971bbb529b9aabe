"""An offline W&B run from a stranger names files on the reader's disk: none of them is uploaded."""

import json

import pytest

from fer_lightning.loggers import wandb_offline
from fer_lightning.loggers.mirrors import RECORD, record_artifact
from fer_lightning.loggers.wandb_offline import offline_runs
from fer_lightning.process.errors import UserError


@pytest.fixture
def run(tmp_path):
    """(run folder, a private file elsewhere, says which records the log holds)"""
    folder = tmp_path / "study" / "run"
    offline = folder / "wandb" / "offline-run-1"
    (offline / "files").mkdir(parents=True)
    (offline / "run-id1.wandb").touch()
    (folder / "result.json").write_text(json.dumps({"status": "done", "job": {"id": "x"}}))
    private = tmp_path / "id_rsa"
    private.write_text("private")
    return folder, private


def strays(monkeypatch, folder, *records):
    monkeypatch.setattr(wandb_offline.OfflineRun, "records", list(records))
    (found,) = offline_runs(folder)
    return found.strays


def artifact(path):
    return {"type": "artifact", "artifact": {"manifest": {"contents": [{"local_path": str(path), "path": "x"}]}}}


def test_a_file_elsewhere_is_no_file_of_a_run(run, monkeypatch, tmp_path):
    folder, private = run
    files = folder / "wandb" / "offline-run-1" / "files"
    up = {"type": "files", "files": {"files": [{"path": "../../../../../id_rsa"}]}}
    at = {"type": "files", "files": {"files": [{"path": str(private)}]}}
    assert strays(monkeypatch, folder, artifact(private)) == [str(private)]
    assert len(strays(monkeypatch, folder, up)) == 1 and strays(monkeypatch, folder, at) == [str(private)]
    (files / "media").symlink_to(tmp_path)
    assert strays(monkeypatch, folder) == [str(files / "media")]


def test_files_of_the_run_are_its_own(run, monkeypatch, tmp_path):
    folder, _ = run
    staged = tmp_path / "data" / "wandb" / "artifacts" / "staging" / "tmp1"
    staged.parent.mkdir(parents=True)
    staged.touch()
    first = tmp_path / "first" / "result.json"  # of the folder from which this one was copied
    first.parent.mkdir()
    first.write_bytes((folder / "result.json").read_bytes())
    records = [artifact(path) for path in (folder / "result.json", staged, first, "/nowhere/x")]
    assert strays(monkeypatch, folder, *records) == []
    first.write_text("private")
    assert strays(monkeypatch, folder, *records) == [str(first)]


def test_a_run_behind_a_link_is_refused(run, tmp_path):
    folder, _ = run
    (tmp_path / "other" / "run").mkdir(parents=True)
    (tmp_path / "other" / "run" / "result.json").write_text('{"status": "done", "job": {}}')
    (tmp_path / "other" / "run" / "wandb").symlink_to(folder / "wandb")
    with pytest.raises(UserError, match="lies behind a link, which is not followed"):
        offline_runs(tmp_path / "other")


@pytest.mark.parametrize("name", RECORD)
def test_a_link_is_no_file_of_the_record(name, run):
    folder, private = run
    for other in RECORD:
        (folder / other).unlink(missing_ok=True)
        (folder / other).touch() if other != name else (folder / other).symlink_to(private)
    with pytest.raises(ValueError, match="it is a link"):
        record_artifact("id1", folder, {"job": {"id": "x"}})
