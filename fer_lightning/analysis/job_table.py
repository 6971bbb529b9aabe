"""The jobs of a study as one table, a row each, and their cells as another, a row each."""

from pathlib import Path

import numpy as np
import pandas as pd

from fer_lightning.process.errors import UserError
from fer_lightning.runs.layout import RESULT
from fer_lightning.runs.result import read_result
from fer_lightning.stability.measures import MEASURES

SCORES = (
    *("accuracy", "accuracy_clean", "accuracy_clean_near", "macro_f1", "weighted_f1", "loss", "top2", "ece", "brier"),
    *("ferplus_agreement", "ferplus_kl"),
)


def read_jobs(folder):
    """All run folders below a study folder. Returns a frame, one row a job; unfinished jobs have a status and no scores.

    A damaged result.json is left out. UserError where there is no run folder.
    """
    folder = Path(folder)
    paths = sorted(folder.glob(f"*/{RESULT}"))
    if not paths:
        raise UserError(f"{folder} holds no run: no */{RESULT} below it. Name the folder of a study, such as multirun/NAME.")
    rows = [row for path in paths if (row := _readable(path.parent))]
    if not rows:
        raise UserError(f"{folder}: no {RESULT} below it can be read. Run the jobs again.")
    jobs = pd.DataFrame(rows)
    # Folders gathered by hand need not vary in the same keys, and all that vary come between name and seed.
    axes = list(dict.fromkeys(axis for row in rows for axis in _axes(row)))
    return jobs[["name", *axes, *jobs.columns.drop(["name", *axes])]]


def _readable(folder):
    """The row of a run; None where its result.json is damaged, which only a copy or a full disk can do."""
    try:
        return _row(folder)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(folder):
    result = read_result(folder)
    job = result["job"]
    row = {"name": folder.name, **job["cell"], "seed": job["seed"], "status": result["status"], "protocol": result.get("protocol")}
    row |= {name: result.get("data", {}).get(name) for name in ("verdict", "labels")}
    selected, metrics = result.get("selected") or {}, result.get("metrics") or {}
    row["epoch"] = selected.get("epoch")
    row |= {f"val_{name}": (metrics.get("val") or {}).get(name) for name in SCORES if not name.startswith("accuracy_clean")}
    row |= {f"test_{name}": (metrics.get("test") or {}).get(name) for name in SCORES}
    row |= {f"{part}_{name}": value for part in ("val", "test") for name, value in (metrics.get(part) or {}).items() if _is_view(name)}
    row["test_n"] = (metrics.get("test") or {}).get("n")
    row["train_accuracy"] = (metrics.get("train") or {}).get("accuracy")
    row |= {name: result.get("model", {}).get(name) for name in ("parameters", "trainable", "flops")}
    row |= {name: result.get("time", {}).get(name) for name in ("fit_s", "test_s", "total_s", "images_per_s", "test_pass_ms")}
    row |= {f"stability_{name}": (result.get("stability") or {}).get(name) for name in (*MEASURES, "label")}
    row["error"] = (result.get("error") or {}).get("message")
    return row


def _is_view(name):
    """accuracy_ten_crop and the like: scores from several views of each picture, where a run was asked for them."""
    return name.startswith("accuracy_") and not name.startswith("accuracy_clean")


def axes_of(jobs):
    """The swept keys of a frame of jobs, the seed aside: what lies between `name` and `seed`."""
    return _axes(jobs.columns)


def _axes(columns):
    columns = list(columns)
    return columns[1 : columns.index("seed")]


def level_text(value):
    """A level as its run folders name it. A column with a null in it holds its whole numbers as floats, and the null as NaN."""
    if isinstance(value, float):
        return "None" if np.isnan(value) else f"{value:.0f}" if value.is_integer() else str(value)
    return str(value)


def rank_cells(jobs):
    """Done jobs grouped by cell: n seeds, mean and standard deviation of the scores, the best validation accuracy first.

    Validation ranks because the test part must not choose (where there is no validation part, the test accuracy does).
    """
    done = jobs[jobs["status"] == "done"]
    axes = axes_of(jobs)
    keys = [done[axis].map(level_text) for axis in axes] or [pd.Series("single cell", index=done.index, name="cell")]
    shown = ("val_accuracy", "test_accuracy", "test_accuracy_clean", "test_accuracy_clean_near", "test_macro_f1", "total_s")
    columns = [c for c in shown if done[c].notna().any()]
    table = done.groupby(keys, sort=False)[columns].agg(["mean", "std"])
    table.columns = [name if kind == "mean" else f"{name}_sd" for name, kind in table.columns]
    table.insert(0, "n", done.groupby(keys, sort=False).size())
    ranking = "val_accuracy" if "val_accuracy" in table else "test_accuracy"
    return table.sort_values(ranking, ascending=False, kind="stable").reset_index()
