"""W&B: a real sweep logged offline by the real client; what is in it; its upload; its board.

The server is `wandb_server.WandbServer`, a stand-in for the HTTP interface: the real one cannot run in a test.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers.project import TINY
from helpers.wandb_server import ENTITY, KEY, WandbServer

from fer_lightning.loggers.wandb_offline import offline_runs
from fer_lightning.loggers.wandb_workspace import board, specification
from fer_lightning.process.errors import UserError
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result

SECRET = "5ec4e7" * 6 + "abcd"  # the shape of a key


def run_module(*args, cwd, **env):
    """As a user would, in a process of its own. env: None takes a variable away."""
    env = {name: value for name, value in (os.environ | env).items() if value is not None}
    command = [sys.executable, "-m", *map(str, args)]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A sweep of two axes and two jobs, logged offline by a user who has a key and a password in the environment."""
    root = tmp_path_factory.mktemp("sweep")
    secrets = {"WANDB_API_KEY": SECRET, "MLFLOW_TRACKING_URI": f"http://user:{SECRET}@nowhere", "XDG_DATA_HOME": str(root / "home")}
    done = run_module("fer_lightning", "-m", "head.act=relu,gelu", "head.norm=choice(bn)", *TINY, cwd=root, **secrets)
    assert done.code == 0, done.text
    (folder,) = (root / "multirun").iterdir()
    return folder


@pytest.fixture(scope="module")
def logged(study):
    """The offline run of relu-bn-s0, read back by W&B's own tool."""
    (file,) = (study / "relu-bn-s0").glob("wandb/offline-run-*/*.wandb")
    tool = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    records = list(map(json.loads, subprocess.run(tool, capture_output=True, text=True, check=True).stdout.splitlines()))

    def of_type(kind):
        return [record[kind] for record in records if record["type"] == kind]

    def merged(kind):
        return {key: value for part in of_type(kind) for key, value in part["update"].items()}

    return SimpleNamespace(
        folder=study / "relu-bn-s0",
        result=read_result(study / "relu-bn-s0"),
        files=file.parent / "files",
        run=of_type("run")[0],
        config=merged("config"),
        summary=merged("summary"),
        history=[part["item"] for part in of_type("history")],
        artifacts=of_type("artifact"),
    )


def test_a_run_is_found_by_its_study_and_its_cell(logged, study):
    run = logged.run
    assert (run["display_name"], run["run_group"], run["job_type"]) == ("relu-bn-s0", study.name, "train")
    assert run["tags"] == [f"study={study.name}", "head.act=relu", "head.norm=bn", "protocol=official", "verdict=synthetic"]
    grouping = {"cell": "head.act=relu head.norm=bn", "cell_head_act": "relu", "cell_head_norm": "bn", "job": logged.result["job"]["id"]}
    assert grouping.items() <= logged.config.items()
    assert logged.config["optimizer"]["lr"] == 0.1 and logged.config["seed"] == 0
    assert logged.config["model"] == logged.result["model"]


def test_the_summary_is_of_the_selected_epoch(logged):
    result, summary = logged.result, logged.summary
    selected = next(row for row in read_metrics(logged.folder) if row["epoch"] == result["selected"]["epoch"])
    assert summary["best/epoch"] == result["selected"]["epoch"]
    assert summary["best/val_accuracy"] == pytest.approx(selected["val/accuracy"])
    assert summary["best/train_loss"] == pytest.approx(selected["train/loss"])
    assert summary["test/accuracy_clean"] == pytest.approx(result["metrics"]["test"]["accuracy_clean"])
    assert summary["stability/run_gap"] == pytest.approx(result["stability"]["gap"])
    assert summary["stability/run_label"] == result["stability"]["label"]
    assert summary["cost/fit_s"] == result["time"]["fit_s"]


def test_the_history_is_metrics_csv(logged):
    rows = read_metrics(logged.folder)
    assert {"val/accuracy", "train/loss", "lr", "stability/grad_norm", "stability/dead"} <= set(rows[0])
    for row in rows:
        history = {key: value for item in logged.history if item["epoch"] == row["epoch"] for key, value in item.items()}
        for key in set(row) - {"step"}:
            assert float(history[key]) == pytest.approx(row[key], nan_ok=True), key


def test_the_test_part_is_there_as_tables_and_as_a_picture(logged):
    test = logged.result["metrics"]["test"]
    counts, classes = (
        json.loads((logged.files / logged.summary[f"test/{name}.path"]).read_text()) for name in ("confusion_counts", "per_class")
    )
    assert counts["columns"] == ["true", "predicted", "pictures"]
    assert [n for _, _, n in counts["data"]] == [n for row in test["confusion"] for n in row]
    assert {name: dict(zip(classes["columns"][1:], scores)) for name, *scores in classes["data"]} == test["per_class"]
    assert (logged.files / logged.summary["test/confusion.path"]).read_bytes().startswith(b"\x89PNG")


def test_the_record_goes_along_as_an_artifact(logged):
    (record,) = [artifact for artifact in logged.artifacts if artifact["type"] == "run-record"]
    files = {entry["path"]: entry["digest"] for entry in record["manifest"]["contents"]}
    md5 = {name: base64.b64encode(hashlib.md5((logged.folder / name).read_bytes()).digest()).decode() for name in files}
    assert files == md5 and set(files) == {"result.json", "metrics.csv", "steps.parquet", "predictions.parquet"}


def test_no_secret_is_written_anywhere(study):
    files = [path for path in study.parent.parent.rglob("*") if path.is_file()]
    assert len(files) > 40
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def panel_keys(spec):
    """Every key that a board names: of summary and history, and of config."""
    panels = [panel["config"] for section in spec["section"]["panelBankConfig"]["sections"] for panel in section["panels"]]
    scores = {key for panel in panels for key in panel.get("metrics", []) + panel.get("mediaKeys", [])}
    scores |= {panel[axis].removeprefix("summary:") for panel in panels for axis in ("xAxis", "yAxis") if axis in panel}
    (runs,) = spec["section"]["runSets"]
    scores |= {column.removeprefix("summary:") for column in runs["runFeed"]["columnOrder"] if column.startswith("summary:")}
    scores |= {key["key"]["name"] for key in runs["sort"]["keys"]}
    config = {panel["groupBy"].removesuffix(".value") for panel in panels if "groupBy" in panel}
    return scores, config | {key["name"].removesuffix(".value") for key in runs["grouping"]}


def test_a_board_shows_nothing_that_is_not_logged(study, logged):
    pytest.importorskip("wandb_workspaces")
    spec = specification(board(study))
    scores, config = panel_keys(spec)
    known = {key for item in [*logged.history, logged.summary] for key in item}
    assert scores <= known | {key.partition(".")[0] for key in known}
    assert config == {"cell", "cell_head_act", "cell_head_norm"} and config <= set(logged.config)
    wanted = {"best/val_accuracy", "test/accuracy_clean", "val/loss", "stability/grad_norm", "cost/fit_s", "test/confusion"}
    assert wanted | {f"stability/run_{name}" for name in ("div", "dead", "gap")} <= scores
    filters = {(leaf["key"]["name"], leaf["value"]) for leaf in spec["section"]["runSets"][0]["filters"]["filters"]}
    assert filters == {("group", study.name), ("jobType", "train")}


def test_wrong_folders_are_named(tmp_path):
    pytest.importorskip("wandb_workspaces")
    with pytest.raises(UserError, match="holds no offline W&B run"):
        offline_runs(tmp_path)
    with pytest.raises(UserError, match="is no study with a finished job"):
        board(tmp_path)


def test_the_newest_try_of_an_ended_job_counts(tmp_path):
    for cell, status, times in (("a", "done", (1, 2)), ("b", "running", (1,)), ("c", "failed", (3,))):
        for time in times:
            run = tmp_path / cell / "wandb" / f"offline-run-20260101_00000{time}-id{time}"
            run.mkdir(parents=True)
            (run / f"run-id{time}.wandb").touch()
        (tmp_path / cell / "result.json").write_text(json.dumps({"status": status}))
    assert [(run.folder.name, run.id) for run in offline_runs(tmp_path)] == [("a", "id2"), ("c", "id3")]
    assert [run.id for run in offline_runs(tmp_path / "c")] == ["id3"]


@pytest.fixture
def server():
    with WandbServer() as server:
        yield server
        assert server.unknown == []


@pytest.fixture
def copy(study, tmp_path):
    """The study as it was before any upload, in another place, as on another machine."""
    return shutil.copytree(study, tmp_path / "copied" / study.name, symlinks=True, ignore=shutil.ignore_patterns("*.sync*"))


def push(folder, server, key=KEY, **env):
    return run_module("fer_lightning.wandb_push", folder, cwd=folder.parent, WANDB_BASE_URL=server, WANDB_API_KEY=key, **env)


def history_of(run):
    """{epoch: its rows in one} of a run on the server."""
    rows = {}
    for row in run["history"]:
        rows.setdefault(row["epoch"], {}).update(row)
    return rows


@pytest.mark.slow
def test_a_study_comes_up_with_the_same_ids_and_nothing_lost(study, server):
    """In place. The second time nothing is sent again."""
    done = push(study, server.url)
    assert done.code == 0 and done.text.count("uploaded, all there") == 2 and "2 of 2 runs are on" in done.text, done.text
    for local in offline_runs(study):
        run, result = server.runs[local.id], read_result(local.folder)
        assert (run["displayName"], run["groupName"], run["jobType"], run["exitcode"]) == (local.folder.name, study.name, "train", 0)
        assert run["tags"][0] == f"study={study.name}" and run["project"] == "fer_lightning"
        rows = read_metrics(local.folder)
        assert set(history_of(run)) == {row["epoch"] for row in rows}
        for row in rows:
            found = history_of(run)[row["epoch"]]
            assert {key: float(found[key]) for key in row if key != "step"} == pytest.approx(
                {key: value for key, value in row.items() if key != "step"}, nan_ok=True
            )
        assert run["summary"]["test/accuracy"] == pytest.approx(result["metrics"]["test"]["accuracy"])
        assert run["config"]["cell_head_act"]["value"] == result["job"]["cell"]["head.act"]
        (record,) = [artifact for artifact in server.artifacts.values() if artifact["name"] == f"record-{local.id}"]
        for name in ("result.json", "predictions.parquet"):
            assert server.files[f"artifact/{record['id']}/{name}"] == (local.folder / name).read_bytes()
    (report,) = [run for run in server.runs.values() if run["jobType"] == "report"]
    assert report["groupName"] == study.name and report["notes"] == (study / "report.md").read_text()
    assert any(path.endswith("/report.md") for path in server.files)

    before = {name: len(run["history"]) for name, run in server.runs.items()}
    again = push(study, server.url)
    assert again.code == 0 and again.text.count("up before, all there") == 2, again.text
    assert {name: len(run["history"]) for name, run in server.runs.items()} == before


@pytest.mark.slow
def test_what_is_lost_on_the_way_is_sent_again(study, copy, server):
    """The server drops the rows of the last epoch; the record's files are not where they were logged, as on another machine."""
    study.rename(study.with_name("away"))
    try:
        last = read_metrics(copy / "relu-bn-s0")[-1]
        server.lose = {last["epoch"]: 2}  # the row of train and the row of val
        done = push(copy / "relu-bn-s0", server.url)
    finally:
        study.with_name("away").rename(study)
    assert done.code == 0 and "uploaded and mended, all there" in done.text, done.text
    (local,) = offline_runs(copy / "relu-bn-s0")
    assert history_of(server.runs[local.id])[last["epoch"]]["val/accuracy"] == pytest.approx(last["val/accuracy"])
    assert {path.rpartition("/")[2] for path in server.files} >= {"result.json", "metrics.csv", "steps.parquet", "predictions.parquet"}


@pytest.mark.slow
def test_nothing_of_the_readers_own_goes_up(copy, server, tmp_path):
    """A stranger's runs: one takes a value from the environment, one a file by a link."""
    taking, linking = copy / "relu-bn-s0", copy / "gelu-bn-s0"
    config = taking / ".hydra" / "config.yaml"
    config.write_text(re.sub(r"monitor: .*", "monitor: ${oc.env:PRIVATE_PLACE}", config.read_text()))
    (tmp_path / "id_rsa").write_text("private key")
    (linking / "steps.parquet").unlink()
    (linking / "steps.parquet").symlink_to(tmp_path / "id_rsa")
    done = push(copy, server.url, PRIVATE_PLACE="/home/me")
    assert done.code == 1 and "not uploaded: " in done.text and "1 of 2 runs are on" in done.text, done.text
    (run,) = (run for run in server.runs.values() if run["jobType"] == "train")
    assert run["config"]["monitor"]["value"] == "***" and "/home/me" not in json.dumps(run["config"])
    assert not [path for path, content in server.files.items() if b"private key" in content]


@pytest.mark.slow
def test_a_server_that_keeps_losing_an_epoch_is_reported(copy, server):
    server.lose = {1: 1000}
    done = push(copy / "relu-bn-s0", server.url)
    assert done.code == 1 and "history of epoch 1 has another or no value of" in done.text and "0 of 1 runs are on" in done.text, done.text


@pytest.mark.slow
def test_no_login_a_wrong_key_and_no_network_are_one_sentence_each(copy, server):
    nowhere = {"HOME": str(copy), "NETRC": str(copy / "none")}
    for url, key, said in (
        (server.url, "", "There is no login for W&B"),
        (server.url, "1" * 40, "invalid key"),
        ("http://127.0.0.1:9", KEY, "W&B cannot be used"),
    ):
        done = push(copy, url, key, **nowhere)
        assert done.code == 1 and said in done.text and "Traceback" not in done.text and len(done.text.splitlines()) == 1, done.text
    assert not list(copy.rglob("*.synced")) and not server.runs


@pytest.mark.slow
def test_a_run_that_is_marked_but_not_there_is_reported(copy, server):
    (local,) = offline_runs(copy / "relu-bn-s0")
    local.mark.touch()
    done = push(local.folder, server.url)
    assert done.code == 1 and "marked as uploaded but not readable there" in done.text and str(local.mark.name) in done.text, done.text


@pytest.mark.slow
def test_a_job_without_a_network_goes_on_offline(tmp_path):
    """It waits for W&B once in a sweep, not once a job."""
    env = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY, "WANDB_INIT_TIMEOUT": "2", "WANDB_MODE": None}
    done = run_module("fer_lightning", "-m", "seed=0,1", *TINY, cwd=tmp_path, **env)
    assert done.code == 0 and done.text.count("W&B is out of reach") == 1, done.text
    assert len(list(tmp_path.rglob("offline-run-*/run-*.wandb"))) == 2


@pytest.mark.slow
def test_a_logged_in_user_sees_the_job_at_once(tmp_path, server):
    """The login of `wandb login` is a line in ~/.netrc."""
    host = server.url.removeprefix("http://")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {host} login user password {KEY}\n")
    netrc.chmod(0o600)
    env = {"WANDB_BASE_URL": server.url, "NETRC": str(netrc), "WANDB_MODE": None, "WANDB_API_KEY": None}
    done = run_module("fer_lightning", *TINY, cwd=tmp_path, **env)
    assert done.code == 0, done.text
    (run,) = server.runs.values()
    (folder,) = (path.parent for path in tmp_path.rglob("result.json"))
    assert run["exitcode"] == 0 and run["groupName"] == "single"
    assert run["summary"]["test/accuracy"] == pytest.approx(read_result(folder)["metrics"]["test"]["accuracy"])
    assert len(history_of(run)) == len(read_metrics(folder))


@pytest.mark.slow
def test_a_board_is_saved_as_it_is_shown(study, server):
    pytest.importorskip("wandb_workspaces")
    shown = run_module("fer_lightning.wandb_board", study, "--dry-run", cwd=study)
    assert shown.code == 0 and server.views == {}
    saved = run_module("fer_lightning.wandb_board", study, cwd=study, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert saved.code == 0 and f"{server.url}/{ENTITY}/fer_lightning?nw=" in saved.text, saved.text
    (view,) = server.views.values()
    assert view["entityName"] == ENTITY and view["projectName"] == "fer_lightning" and study.name in view["displayName"]
    assert panel_keys(view["spec"]) == panel_keys(json.loads(shown.text))
