"""Each file of the run folder has one reader, which gives back what was written and refuses what it cannot be."""

import ast
import json
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.project import ROOT
from helpers.written_runs import write_grid

from fer_lightning.analysis import study_record
from fer_lightning.analysis.page.configs import read_configs
from fer_lightning.analysis.report import report
from fer_lightning.analysis.stability_of_cells import churn
from fer_lightning.analysis.statistics.correctness import read_answers
from fer_lightning.analysis.study_record import gather, read_curves
from fer_lightning.process.errors import DataError, UserError
from fer_lightning.runs import result
from fer_lightning.runs.config_files import read_config, read_overrides, read_settings
from fer_lightning.runs.metrics_csv import append_metrics, read_metrics
from fer_lightning.runs.predictions import MOST_ROWS, part_of, probabilities, read_predictions, write_predictions
from fer_lightning.runs.result import read_results, write_result
from fer_lightning.runs.steps import read_steps, write_steps
from fer_lightning.runs.study_file import read_ledger, write_ledger

PACKAGE = ROOT / "fer_lightning"

# Rooms whose files read other files than those of a run folder: the readers themselves, data sets, weights.
OTHER_FILES = ("runs", "safety", "data", "model", "shipping")
READERS = {"read_parquet", "ParquetFile", "read_table", "read_csv", "read_json", "read_yaml", "DictReader"}
SECRET = "correct-horse-battery-staple"
LOADERS = {"OmegaConf.load", "yaml.load", "yaml.safe_load", "json.load", "csv.reader"}
FILES = {"result.json", "metrics.csv", "predictions.parquet", "steps.parquet", "study.json", ".hydra", "config.yaml", "overrides.yaml"}


def test_nothing_outside_runs_reads_a_file_of_the_run_folder():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in OTHER_FILES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.ImportFrom):
                wrong += [f"{place} imports {alias.name}" for alias in node.names if alias.name in READERS]
            elif isinstance(node, ast.Attribute) and (node.attr in READERS or ast.unparse(node) in LOADERS):
                wrong.append(f"{place} reads with {ast.unparse(node)}")
            elif isinstance(node, ast.Constant) and node.value in FILES:
                wrong.append(f"{place} names {node.value}, which runs/ has a constant or a reader for")
    assert not wrong, "\n".join(wrong)


def test_predictions_are_read_as_written(tmp_path):
    rng = np.random.default_rng(0)
    parts = {part: (rng.dirichlet(np.ones(7), n).astype(np.float32), rng.integers(0, 7, n), rng.permutation(100)[:n])
             for part, n in (("val", 20), ("test", 30))}  # fmt: skip
    clean = rng.random(30) < 0.5
    write_predictions(tmp_path, parts, clean)
    table = read_predictions(tmp_path)
    for part, (answers, labels, rows) in parts.items():
        order, read = np.argsort(rows), part_of(table, part)
        assert np.array_equal(read.index, rows[order]) and np.array_equal(read["label"], labels[order])
        assert np.array_equal(probabilities(read), answers[order]) and probabilities(read).dtype == np.float32
        assert read["clean"].isna().all() if part == "val" else np.array_equal(read["clean"], clean[order])


def test_a_row_number_fills_no_memory(tmp_path):
    write_grid(tmp_path, np.random.default_rng(0), pictures=50, seeds=2)
    names = [path.name for path in tmp_path.iterdir()]
    assert read_answers(tmp_path, names, "test").right.shape == (16, 50) and 0 < churn(tmp_path, names) < 1
    for row in (MOST_ROWS, 10**12):
        for name in names:
            table = pq.read_table(tmp_path / name / "predictions.parquet")
            numbers = pa.array([*range(len(table) - 1), row])
            pq.write_table(table.set_column(table.column_names.index("row"), "row", numbers), tmp_path / name / "predictions.parquet")
        with pytest.raises(ValueError, match=f"row is 0 to {row}"):
            read_predictions(tmp_path / names[0])
        found = read_answers(tmp_path, names, "test")
        assert found.right is None and found.why == f"{names[0]} has no readable predictions.parquet"
        assert np.isnan(churn(tmp_path, names))
    report(tmp_path)
    assert "predictions.parquet is damaged (row is 0 to 1000000000000)" in (tmp_path / "report.md").read_text()


def test_a_reference_to_a_secret_is_shown_as_written(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    write_grid(tmp_path, np.random.default_rng(0), pictures=50, seeds=1)
    for run in list(tmp_path.iterdir()):
        (run / ".hydra").mkdir()
        (run / ".hydra" / "config.yaml").write_text("epochs: 3\nnote: ${oc.env:WANDB_API_KEY}\n")
        with pytest.raises(UserError, match="refers to WANDB_API_KEY"):
            read_config(run)
    assert read_settings(run)["note"] == "${oc.env:WANDB_API_KEY}"
    assert set(read_configs(gather(tmp_path))["note"]) == {"${oc.env:WANDB_API_KEY}"}
    report(tmp_path)
    for path in tmp_path.glob("report.*"):
        assert SECRET not in path.read_text()


@pytest.mark.parametrize("text", ["", "- [a]\n", "a: b\n", "- a\n- &x 1\n- *x\n", "["])
def test_overrides_are_a_list_of_texts(tmp_path, text):
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(text)
    with pytest.raises(ValueError):
        read_overrides(tmp_path)
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=1\n- head.act=relu\n")
    assert read_overrides(tmp_path) == ("seed=1", "head.act=relu")


def test_a_row_that_is_being_written_is_left_out(tmp_path):
    rows = [{"epoch": epoch, "val/loss": 1 / (epoch + 1)} for epoch in range(3)]
    for row in rows:
        append_metrics(tmp_path, row)
    whole = (tmp_path / "metrics.csv").read_text()
    assert read_metrics(tmp_path) == rows
    for length in range(len(whole)):
        (tmp_path / "metrics.csv").write_text(whole[:length])
        assert read_metrics(tmp_path) == rows[: max(0, whole[:length].count("\n") - 1)]


@pytest.mark.parametrize("row", ["nan,1", "inf,1", "0.5,1", "-1,1", "1e300,1", ",1", "0,x", "0", "0,1,2", "=1,1", "\xa00\x00,1"])
def test_a_damaged_row_is_refused(tmp_path, row):
    (tmp_path / "a").mkdir()
    write_result(tmp_path / "a", {"status": "done", "job": {"cell": {}, "seed": 0}})
    (tmp_path / "a" / "metrics.csv").write_text(f"epoch,val/loss\n{row}\n")
    with pytest.raises(ValueError):
        read_metrics(tmp_path / "a")
    study = gather(tmp_path)
    assert read_curves(study) == {} and "a/metrics.csv is damaged" in study.missing[0]


def test_steps_are_read_as_written(tmp_path):
    values = {"loss": [1.5, np.nan, 0.5], "grad_norm": [1.0, np.inf, 2.0], "lr": [0.5, 0.25, 0.125]}
    steps = pd.DataFrame({"epoch": [0, 0, 1], "images": [8, 3, 8]} | values)
    write_steps(tmp_path, steps)
    read = read_steps(tmp_path)
    assert read["step"].tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(read[list(steps)], steps, check_dtype=False)
    pq.write_table(pa.table({"loss": ["x"]}), tmp_path / "steps.parquet")
    with pytest.raises(ValueError, match="it wants step, epoch"):
        read_steps(tmp_path)


LEDGERS = {
    "nothing but jobs and axes": {"jobs": None, "axes": []},
    "nulls": {"jobs": None, "axes": [], "study": None, "command": None},
    "nulls in the study": {"jobs": None, "axes": [], "study": {"published": None, "doubts": None, "analysis": None, "question": None}},
    "an empty entry": {"jobs": None, "axes": [], "study": {"published": [{}, {"cell": None, "test_accuracy": "x", "macro_f1": 3}]}},
}


@pytest.mark.parametrize("kind", LEDGERS)
def test_what_study_json_lacks_has_defaults(tmp_path, kind):
    write_grid(tmp_path, np.random.default_rng(0), pictures=50, seeds=1)
    write_ledger(tmp_path, LEDGERS[kind])
    study = read_ledger(tmp_path)["study"]
    assert study["doubts"] == [] and study["analysis"] == {} and study["question"] == "" and study["paper"] is None
    assert report(tmp_path) == 0


@pytest.mark.parametrize("ledger", [{"jobs": None, "axes": [], "study": {"published": [None]}}, {"axes": []}, [], {"jobs": 3, "axes": []}])
def test_a_damaged_study_json_is_one_sentence(tmp_path, ledger):
    (tmp_path / "study.json").write_text(json.dumps(ledger))
    with pytest.raises(DataError, match=r"study\.json is damaged"):
        read_ledger(tmp_path)


def test_results_are_read_once_and_the_paper_compared_once(tmp_path, monkeypatch):
    write_grid(tmp_path, np.random.default_rng(0), pictures=50, seeds=2)
    published = [{"cell": {"head.act": "gelu", "head.norm": "bn"}, "row": "S0-1", "test_accuracy": "70.00"}]
    write_ledger(tmp_path, {"jobs": None, "axes": [], "study": {"published": published, "protocol": "official", "paper": "S0"}})
    read, compared = Mock(wraps=result.read_result), Mock(wraps=study_record.compare)
    monkeypatch.setattr(result, "read_result", read)
    monkeypatch.setattr(study_record, "compare", compared)
    report(tmp_path)
    assert read.call_count == 16 and compared.call_count == 1
    assert "70.00" in (tmp_path / "report.md").read_text()


def test_a_result_without_a_part_is_shown(tmp_path):
    """Each key of a result.json may be missing but status and job."""
    write_grid(tmp_path, np.random.default_rng(0), pictures=50, seeds=2)
    results, damaged = read_results(tmp_path)
    assert len(results) == 16 and damaged == []
    for name, key in zip(results, ["metrics", "data", "protocol", "selected", "time", "model", "stability", "error"], strict=False):
        write_result(tmp_path / name, {k: v for k, v in results[name].items() if k != key})
    for name, key in zip(list(results)[8:], ["metrics", "data", "selected", "time"], strict=False):
        write_result(tmp_path / name, results[name] | {key: None})
    assert report(tmp_path) == 0
