"""The jobs of a study as one table, a row each, and their cells as another, a row each."""

from pathlib import Path

import pandas as pd

from fer_lightning.errors import UserError
from fer_lightning.record import RESULT, read_result

SCORES = ("accuracy", "accuracy_clean", "macro_f1", "weighted_f1", "loss", "top2", "ece", "brier")


def read_jobs(folder):
    """All run folders below a study folder. Returns a frame, one row a job; unfinished jobs have a status and no scores.

    UserError where there is no run folder.
    """
    folder = Path(folder)
    paths = sorted(folder.glob(f"*/{RESULT}"))
    if not paths:
        raise UserError(f"{folder} holds no run: no */{RESULT} below it. Name the folder of a study, such as multirun/NAME.")
    return pd.DataFrame([_row(path.parent) for path in paths])


def _row(folder):
    result = read_result(folder)
    job = result["job"]
    row = {"name": folder.name, **job["cell"], "seed": job["seed"], "status": result["status"], "protocol": result.get("protocol")}
    row["verdict"] = result.get("data", {}).get("verdict")
    selected, metrics = result.get("selected") or {}, result.get("metrics") or {}
    row["epoch"] = selected.get("epoch")
    row |= {f"val_{name}": (metrics.get("val") or {}).get(name) for name in SCORES if name != "accuracy_clean"}
    row |= {f"test_{name}": (metrics.get("test") or {}).get(name) for name in SCORES}
    row |= {f"{part}_{name}": value for part in ("val", "test") for name, value in (metrics.get(part) or {}).items() if _is_view(name)}
    row["test_n"] = (metrics.get("test") or {}).get("n")
    row["train_accuracy"] = (metrics.get("train") or {}).get("accuracy")
    row |= {name: result.get("model", {}).get(name) for name in ("parameters", "trainable", "flops")}
    row |= {name: result.get("time", {}).get(name) for name in ("fit_s", "test_s", "total_s", "images_per_s", "test_pass_ms")}
    row["error"] = (result.get("error") or {}).get("message")
    return row


def _is_view(name):
    """accuracy_ten_crop and the like: scores from several views of each picture, where a run was asked for them."""
    return name.startswith("accuracy_") and name != "accuracy_clean"


def axes_of(jobs):
    """The swept keys of a frame of jobs, the seed aside: what lies between `name` and `seed`."""
    columns = list(jobs.columns)
    return columns[1 : columns.index("seed")]


def rank_cells(jobs):
    """Done jobs grouped by cell: n seeds, mean and standard deviation of the scores, the best validation accuracy first.

    Validation ranks because the test part must not choose (where there is no validation part, the test accuracy does).
    """
    done = jobs[jobs["status"] == "done"]
    axes = axes_of(jobs)
    keys = [done[axis].astype(str) for axis in axes] or [pd.Series("single cell", index=done.index, name="cell")]
    columns = [c for c in ("val_accuracy", "test_accuracy", "test_accuracy_clean", "test_macro_f1", "total_s") if done[c].notna().any()]
    table = done.groupby(keys, sort=False)[columns].agg(["mean", "std"])
    table.columns = [name if kind == "mean" else f"{name}_sd" for name, kind in table.columns]
    table.insert(0, "n", done.groupby(keys, sort=False).size())
    ranking = "val_accuracy" if "val_accuracy" in table else "test_accuracy"
    return table.sort_values(ranking, ascending=False, kind="stable").reset_index()
