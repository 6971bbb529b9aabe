"""Ensembles of finished runs: the mean of their predictions, what it gains, and its run folder."""

import re
from pathlib import Path

import numpy as np
import torch
from scipy.special import log_softmax

from fer_lightning.analysis.two_runs import mean_interval
from fer_lightning.config.identity import digest
from fer_lightning.data.faces import classes_of
from fer_lightning.model.metrics import score_parts
from fer_lightning.process.errors import UserError, near
from fer_lightning.runs.finished_run import difference, read_record, read_run
from fer_lightning.runs.layout import PREDICTIONS_OF_VIEWS, RESULT, run_folders
from fer_lightning.runs.predictions import class_columns, part_of, predictions_file, probabilities, read_predictions, write_predictions
from fer_lightning.runs.result import write_result
from fer_lightning.runs.study_file import LEDGER
from fer_lightning.training.environment import environment
from fer_lightning.training.evaluate import add_views


def members(paths, cell=None):
    """The Runs in the folders named, which are run folders or studies. cell: {key: value} that all of these must have, as strings.

    UserError if a run is not finished: to leave it out would be a choice.
    """
    folders = [folder for path in paths for folder in ([path] if (path / RESULT).exists() else run_folders(path) or [path])]
    if cell:
        folders = _in_cell(folders, cell)
    runs = [read_run(folder) for folder in folders]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("A run is named twice: each member counts once.")
    if len(runs) < 2:
        raise UserError(f"An ensemble needs two runs or more, and this is {', '.join(run.name for run in runs) or 'none'}.")
    return runs


def _in_cell(folders, cell):
    jobs = {folder: (read_record(folder) or {}).get("job", {}).get("cell", {}) for folder in folders}
    for key, value in cell.items():
        keys = sorted({key for job in jobs.values() for key in job})
        if key not in keys:
            raise UserError(f"--cell {key}={value}: these runs do not vary in {key}. {near(key, keys or ['no axes'])}")
        values = sorted({str(job[key]) for job in jobs.values() if key in job})
        if value not in values:
            raise UserError(f"--cell {key}={value}: no run has this value. {near(value, values)}")
    return [folder for folder, job in jobs.items() if all(str(job.get(key)) == value for key, value in cell.items())]


def refuse(runs):
    """UserError if the predictions of runs cannot be averaged."""
    first = runs[0]
    for run in runs:
        reason = difference(first, run)
        if reason:
            raise UserError(f"No ensemble: {reason}")
    _refuse_tables(runs, [run.table for run in runs])


def _refuse_tables(runs, tables):
    """UserError if their predictions are not of the same images, or not finite."""
    for run, table in zip(runs, tables, strict=True):
        for split in ("val", "test"):
            same = class_columns(table) == class_columns(tables[0])
            if not same or not part_of(tables[0], split).index.equals(part_of(table, split).index):
                raise UserError(f"No ensemble: {runs[0].name} and {run.name} scored other {split} images.")
        if not np.isfinite(probabilities(table)).all():
            raise UserError(f"No ensemble: {run.name} diverged, its probabilities are NaN or infinite.")


def _tables_of_views(runs):
    """{kind of several views: the predictions of each member}, of the kinds that every member was evaluated on. UserError as `refuse`."""
    found = {}
    for kind in PREDICTIONS_OF_VIEWS:
        files = [predictions_file(run.folder, kind) for run in runs]
        if all(file.exists() for file in files):
            try:
                found[kind] = [read_predictions(run.folder, kind) for run in runs]
            except ValueError as error:
                raise UserError(f"No ensemble: one of {', '.join(map(str, files))} is damaged ({error}).") from error
            _refuse_tables(runs, found[kind])
    return found


def average(probabilities, of):
    """(N, C) log-probabilities of an ensemble. probabilities: (M, N, C) of its members; of: probabilities | logits, what is averaged.

    The logarithm of a probability is a logit up to a constant of each image, which the softmax removes.
    """
    # A probability that underflowed in the 32 bits in which they are stored must not make the loss infinite.
    positive = np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny)
    return np.log(positive.mean(0)) if of == "probabilities" else log_softmax(np.log(positive).mean(0), axis=1)


def gain(probabilities, labels, of):
    """What the ensemble of (M, N, C) probabilities gains over its members on N images, as fractions.

    members: the accuracy of each; gain: over their mean, low and high its bootstrap interval over images; without: the accuracy of the
    ensemble without each member, to see how much depends on one, not to choose members.
    """
    hits = probabilities.argmax(2) == labels
    right = average(probabilities, of).argmax(1) == labels
    gained = right - hits.mean(0)
    low, high = mean_interval(gained)
    others = [np.delete(probabilities, m, axis=0) for m in range(len(probabilities))]
    return {
        "n": len(labels),
        "members": hits.mean(1).tolist(),
        "accuracy": float(right.mean()),
        "gain": float(gained.mean()),
        "low": low,
        "high": high,
        "without": [float((average(rest, of).argmax(1) == labels).mean()) for rest in others],
    }


def ensemble(runs, of="probabilities", out=None):
    """Write the run folder of an ensemble of Runs. Returns the folder and what its result.json holds.

    out: by default outputs/ensembles/<cell>-x<members>-<hash>. UserError if it holds anything else.
    """
    refuse(runs)
    identity = digest({"average": of, "members": sorted(f"{run.name} {run.result['job']['id']}" for run in runs)})
    out = Path(out) if out else Path("outputs") / "ensembles" / f"{_cell_name(runs)}-x{len(runs)}-{identity[:6]}"
    _refuse_other(out, identity)
    results = [run.result for run in runs]
    metrics, gains, written = _averages(runs, of)
    record = {
        "status": "done",
        # Each ensemble is a cell of its own, so that a report never takes two with common members for repeats of one cell.
        # It has no seed; reports want a number, and take its first member's.
        "job": {"id": identity, "study": None, "cell": {"ensemble": out.name}, "seed": results[0]["job"]["seed"], "overrides": []},
        "protocol": results[0]["protocol"],
        "data": results[0]["data"],
        "model": {
            "backbone": ", ".join(sorted({result["model"]["backbone"] for result in results})),
            **{name: sum(result["model"][name] for result in results) for name in ("parameters", "trainable", "flops")},
        },
        "average": of,
        "members": [{"folder": str(run.folder), **run.result["job"]} for run in runs],
        "environment": environment(),
        "selected": {"epoch": None, "monitor": None, "value": None},
        "metrics": {**metrics, "train": None},
        "gain": gains,
        "stability": None,
        "time": {name: sum(result["time"][name] for result in results) for name in ("fit_s", "test_s", "total_s")},
    }
    out.mkdir(parents=True, exist_ok=True)
    for kind, (arrays, clean) in written.items():
        write_predictions(out, arrays, clean, kind)
    write_result(out, record)
    return out, record


def _averages(runs, of):
    """(scores of each part, gains of each part, {kind of views: (arrays, clean) of `write_predictions`}), of one view and of several."""
    metrics, gains, written = {}, {}, {}
    for kind, tables in {None: [run.table for run in runs], **_tables_of_views(runs)}.items():
        parts, gained, clean = _predictions(tables, of)
        scores = score_parts(parts, clean, classes_of(runs[0].result))
        if kind:
            add_views(metrics, scores, kind)
        else:
            metrics = scores
        gains |= {f"{part}_{kind}" if kind else part: entry for part, entry in gained.items()}
        arrays = {part: (logits.softmax(1).numpy(), labels.numpy(), rows.numpy()) for part, (logits, labels, rows) in parts.items()}
        written[kind] = arrays, None if clean is None else clean.numpy()
    return metrics, gains, written


def _predictions(tables, of):
    """({split: (log-probabilities, labels, rows)}, {split: gain}, mask of the clean test images; None if not known)."""
    parts, gains, clean = {}, {}, None
    for split in ("val", "test"):
        members = [part_of(table, split) for table in tables]
        if members[0].empty:
            continue
        stacked = np.stack([probabilities(member) for member in members])
        labels, rows = members[0]["label"].to_numpy(), members[0].index.to_numpy()
        parts[split] = tuple(torch.tensor(values) for values in (average(stacked, of), labels, rows))
        gains[split] = gain(stacked, labels, of)
        if split == "test" and all("clean" in member and member["clean"].notna().all() for member in members):
            clean = torch.tensor(np.all([member["clean"].to_numpy(bool) for member in members], axis=0))
            gains[split]["clean"] = float((average(stacked, of).argmax(1) == labels)[clean.numpy()].mean())
    return parts, gains, clean


def _cell_name(runs):
    """The name that run folders share up to their seeds; the study's if its cells have none."""
    names = {re.sub(r"(^|-)s\d+$", "", run.name) or run.folder.absolute().parent.name for run in runs}
    return names.pop() if len(names) == 1 else "mixed"


def _refuse_other(out, identity):
    if (out.parent / LEDGER).exists():
        raise UserError(f"{out} lies in a study, whose report would take the ensemble for one of its jobs. Choose another --out.")
    if not out.exists():
        return
    there = read_record(out) if out.is_dir() else None
    if there is None and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} holds something else. Choose another --out.")
    if there and there.get("job", {}).get("id") != identity:
        raise UserError(f"{out} holds another run. Choose another --out.")
