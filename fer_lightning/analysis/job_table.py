"""The jobs of a study as one table, a row each, and their cells as another, a row each."""

import pandas as pd

from fer_lightning.config.cell_names import level_text
from fer_lightning.runs import scores
from fer_lightning.stability.measures import MEASURES


def make_jobs(results):
    """A row a job, from {run: its result.json}. Columns: name, the swept keys, seed, status, ...; unfinished jobs have no scores.

    The values of swept keys are texts, as `level_text` writes them. `protocol` is what a run was measured under; a study that sweeps
    the protocol has its levels there and what the runs were measured under in `protocol_measured`.
    """
    rows = [_row(name, result) for name, result in results.items()]
    jobs = pd.DataFrame(rows)
    # Folders gathered by hand need not vary in the same keys, and all that vary come between name and seed.
    axes = list(dict.fromkeys(axis for row in rows for axis in axes_of(row)))
    jobs[axes] = jobs[axes].fillna("None")
    if "protocol" not in axes:
        jobs = jobs.rename(columns={"protocol_measured": "protocol"})
    return jobs[["name", *axes, *jobs.columns.drop(["name", *axes])]]


def _row(name, result):
    job, data, model, time = result["job"], *(result.get(key) or {} for key in ("data", "model", "time"))
    metrics = {part: (result.get("metrics") or {}).get(part) or {} for part in ("train", "val", "test")}
    cell = {axis: level_text(value) for axis, value in (job["cell"] or {}).items()}
    row = {"name": name, **cell, "seed": job["seed"], "status": result["status"]}
    row["protocol_measured"] = result.get("protocol")
    row |= {key: data.get(key) for key in ("verdict", "labels")}
    row["epoch"] = (result.get("selected") or {}).get("epoch")
    row |= {f"val_{score.name}": metrics["val"].get(score.name) for score in scores.SCORES if score.of != "test"}
    row |= {f"test_{score.name}": metrics["test"].get(score.name) for score in scores.SCORES}
    row |= {f"{part}_{key}": value for part in ("val", "test") for key, value in metrics[part].items() if _is_view(key)}
    row["test_n"] = metrics["test"].get("n")
    row["train_accuracy"] = metrics["train"].get("accuracy")
    row |= {key: model.get(key) for key in ("parameters", "trainable", "flops")}
    row |= {key: time.get(key) for key in ("fit_s", "test_s", "total_s", "images_per_s", "test_pass_ms")}
    row |= {f"stability_{key}": (result.get("stability") or {}).get(key) for key in (*MEASURES, "label")}
    row["error"] = (result.get("error") or {}).get("message")
    return row


def _is_view(name):
    """accuracy_ten_crop, macro_f1_ten_crop and the like: scores from several views of each image, if the run computed them."""
    known = tuple(score.name for score in scores.SCORES)
    return name not in known and name.startswith(tuple(f"{score}_" for score in known))


def protocols(jobs):
    """The names of the protocols that jobs were measured under."""
    names = jobs["protocol_measured" if "protocol_measured" in jobs else "protocol"]
    return sorted(names.dropna().astype(str).unique())


def axes_of(jobs):
    """The swept keys of a frame of jobs, or of one row of it, without the seed: the columns between `name` and `seed`."""
    columns = list(jobs)
    return columns[1 : columns.index("seed")]


def rank_cells(jobs):
    """Done jobs grouped by cell: n seeds, mean and standard deviation of the scores, the best validation accuracy first.

    Validation ranks because the test part must not choose; without a validation part the test accuracy ranks.
    """
    done = jobs[jobs["status"] == "done"]
    keys = [done[axis] for axis in axes_of(jobs)] or [pd.Series("single cell", index=done.index, name="cell")]
    shown = ("val_accuracy", *(f"test_{score.name}" for score in scores.ranked()), "total_s")
    columns = [c for c in shown if done[c].notna().any()]
    table = done.groupby(keys, sort=False)[columns].agg(["mean", "std"])
    table.columns = [name if kind == "mean" else f"{name}_sd" for name, kind in table.columns]
    table.insert(0, "n", done.groupby(keys, sort=False).size())
    ranking = "val_accuracy" if "val_accuracy" in table else "test_accuracy"
    return table.sort_values(ranking, ascending=False, kind="stable").reset_index()
