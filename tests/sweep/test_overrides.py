"""Cells, names and identities of a sweep; the report of its run folders."""

import json

import pandas as pd
import pytest
from helpers.project import TINY, compose
from helpers.written_runs import read_jobs
from hypothesis import given
from hypothesis import strategies as st

from fer_lightning.analysis.job_table import rank_cells
from fer_lightning.analysis.report import report
from fer_lightning.config.cell_names import LONGEST_NAME, folder_name
from fer_lightning.config.identity import job_id
from fer_lightning.process.errors import UserError
from fer_lightning.runs.metrics_csv import append_metrics, read_metrics
from fer_lightning.runs.result import read_result, write_result


def test_names_say_what_varies():
    assert folder_name({"head.act": "relu", "head.norm": "bn"}, 0) == "relu-bn-s0"
    assert folder_name({"optimizer.lr": 0.1}, 3) == "lr0.1-s3"
    assert folder_name({"optimizer.lr": 0.1, "x.lr": 2}, 3) == "optimizer.lr0.1-x.lr2-s3"
    assert folder_name({}, 0) == "s0" and folder_name({}) == "default"


@given(st.text(), st.text())
def test_names_are_safe_and_tell_cells_apart(first, second):
    names = [folder_name({"backbone.name": value}, 0) for value in (first, second)]
    assert (names[0] == names[1]) == (first == second)
    for name in names:
        assert "/" not in name and "\0" not in name and not name.startswith(".") and len(name.encode()) <= LONGEST_NAME + 7


def test_identity_is_what_training_depends_on():
    same = job_id(compose(*TINY))
    assert job_id(compose(*TINY, "logger=csv")) == same
    assert job_id(compose(*reversed(TINY))) == same
    assert job_id(compose("data=fer2013", "data.root=a")) == job_id(compose("data=fer2013", "data.root=b"))
    others = [["seed=1"], ["head.act=relu"], ["optimizer.lr=0.2"], ["data.seed=1"], ["protocol=swapped"]]
    assert len({same, *(job_id(compose(*TINY, *other)) for other in others)}) == 6


def make_run(folder, act, norm, seed, accuracy, status="done"):
    path = folder / f"{act}-{norm}-s{seed}"
    path.mkdir(parents=True)
    result = {"status": status, "job": {"id": "x", "study": "s", "cell": {"head.act": act, "head.norm": norm}, "seed": seed}}
    if status == "done":
        scores = {"accuracy": accuracy, "macro_f1": accuracy - 0.02}
        metrics = {"val": scores, "test": scores | {"accuracy_clean": accuracy - 0.03}, "train": {"accuracy": 0.9}}
        result |= {"protocol": "official", "data": {"verdict": "official"}, "metrics": metrics, "selected": {"epoch": 3}}
        result |= {"time": {"total_s": 10.0}}
    elif status == "failed":
        result["error"] = {"type": "ValueError", "message": "a | b\nc", "traceback": "..."}
    write_result(path, result)


@pytest.fixture
def study(tmp_path):
    for seed, plus in enumerate((0.0, 0.02, 0.01)):
        make_run(tmp_path, "relu", "bn", seed, 0.70 + plus)
        make_run(tmp_path, "gelu", "bn", seed, 0.72 + plus)
    make_run(tmp_path, "gelu", "none", 0, None, status="failed")
    make_run(tmp_path, "relu", "none", 0, None, status="running")
    return tmp_path


def test_ranking_is_by_the_mean_over_seeds(study):
    cells = rank_cells(read_jobs(study))
    assert cells["head.act"].tolist() == ["gelu", "relu"] and cells["n"].tolist() == [3, 3]
    assert cells["test_accuracy"].tolist() == pytest.approx([0.73, 0.71])
    assert cells["test_accuracy_sd"].tolist() == pytest.approx([0.01, 0.01])
    assert cells["test_accuracy_clean"].tolist() == pytest.approx([0.70, 0.68])


def test_report_lists_every_job_and_what_is_not_done(study, capsys):
    assert report(study) == 2
    table = pd.read_csv(study / "results.csv")
    assert len(table) == 8 and set(table["status"]) == {"done", "failed", "running"}
    text = (study / "report.md").read_text()
    assert "6 of 8 jobs done" in text and "73.00 ± 1.00" in text and "a \\| b c" in text
    shown = capsys.readouterr().out
    assert "failed: gelu-none-s0" in shown and "running: relu-none-s0" in shown and "73.00 ± 1.00" in shown


def test_report_without_a_done_job(tmp_path, capsys):
    make_run(tmp_path, "relu", "bn", 0, None, status="failed")
    assert report(tmp_path) == 1
    assert "0 of 1 jobs done" in capsys.readouterr().out


def test_report_of_no_study(tmp_path, process):
    with pytest.raises(UserError, match="holds no run"):
        report(tmp_path)
    done = process("fer_lightning.report", tmp_path)
    assert done.code == 1 and "holds no run" in done.text and "Traceback" not in done.text


def test_result_is_replaced_whole_and_holds_no_nan(tmp_path):
    write_result(tmp_path, {"status": "running", "x": float("nan"), "y": [float("inf"), 1.5]})
    assert read_result(tmp_path) == {"schema": 1, "status": "running", "x": None, "y": [None, 1.5]}
    with pytest.raises(TypeError):
        write_result(tmp_path, {"status": object()})
    assert read_result(tmp_path)["status"] == "running"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    json.loads((tmp_path / "result.json").read_text())


def test_metrics_go_on_in_the_same_file(tmp_path):
    append_metrics(tmp_path, {"epoch": 0, "val/loss": 1.25})
    append_metrics(tmp_path, {"epoch": 1, "val/loss": 0.5, "new": 3})
    append_metrics(tmp_path, {"epoch": 2})
    assert read_metrics(tmp_path) == [{"epoch": 0, "val/loss": 1.25}, {"epoch": 1, "val/loss": 0.5}, {"epoch": 2}]
