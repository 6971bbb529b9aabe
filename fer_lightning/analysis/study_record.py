"""Everything that a report shows of a study, gathered from its files. What cannot be read is named and left out."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lightning.analysis.job_table import axes_of, level_text, rank_cells, read_jobs
from fer_lightning.analysis.statistics.layout import level_name
from fer_lightning.runs.layout import METRICS, PREDICTIONS, RESULT
from fer_lightning.runs.predictions import read_predictions as read_table
from fer_lightning.runs.result import read_result
from fer_lightning.runs.study_file import read_ledger
from fer_lightning.safety.untrusted_files import check_file


@dataclass
class StudyRecord:
    """A study folder as frames.

    ledger:  study.json; None for the jobs of run folders gathered by hand
    axes:    the swept keys, the seed aside
    jobs:    a row a run, as `read_jobs` gives them
    cells:   a row a cell with a finished run, the best first, as `rank_cells` gives them
    labels:  what the cell of each run is called, in the order of `jobs`; `cells` has the same names in its index
    results: {run: its result.json}
    missing: sentences on files that could not be read
    """

    folder: Path
    ledger: dict
    axes: list
    jobs: pd.DataFrame
    cells: pd.DataFrame
    labels: np.ndarray
    results: dict
    missing: list = field(default_factory=list)

    @property
    def done(self):
        return self.jobs[self.jobs["status"] == "done"]

    @property
    def unfinished(self):
        return self.jobs[self.jobs["status"] != "done"]

    @property
    def planned(self):
        """How many jobs there are to be, as far as that is known."""
        return max(len(self.ledger["jobs"] or []), len(self.jobs))

    def lacks(self, name, file, error):
        """Note that a file of a run could not be read, unless it is not there because the job is not done."""
        if (self.folder / name / file).exists():
            self.missing.append(f"{name}/{file} is damaged ({' '.join(str(error).split())}).")
        elif self.results[name]["status"] == "done":
            self.missing.append(f"{name}/{file} is missing.")

    @cached_property
    def runs(self):
        """{cell: its finished runs in the order of their seeds}, a frame of jobs each, the best cell first."""
        done = self.done.sort_values("seed", kind="stable")
        groups = done.groupby(pd.Series(self.labels, self.jobs.index).loc[done.index], sort=False)
        frames = dict(list(groups))
        return {label: frames[label] for label in self.cells.index}


def gather(folder):
    """Read a study folder. UserError where there is no run folder."""
    folder = Path(folder)
    jobs = read_jobs(folder)
    axes = axes_of(jobs)
    jobs[axes] = jobs[axes].map(level_text)
    cells = rank_cells(jobs) if (jobs["status"] == "done").any() else pd.DataFrame({axis: [] for axis in axes})
    cells.index = _labels(cells, axes)
    results = {name: read_result(folder / name) for name in jobs["name"]}
    damaged = sorted({path.parent.name for path in folder.glob(f"*/{RESULT}")} - set(results))
    missing = [f"{name}/{RESULT} is damaged." for name in damaged]
    return StudyRecord(folder, _read_ledger(folder), axes, jobs, cells, _labels(jobs, axes), results, missing)


def _read_ledger(folder):
    return read_ledger(folder) or {"jobs": None, "command": None, "study": {"published": [], "doubts": [], "question": "", "paper": None}}


def _labels(frame, axes):
    """One name a row, as its run folders have it: the values of its axes ("gelu-lr0.1")."""
    if not axes:
        return np.array(["single cell"] * len(frame), dtype=object)
    columns = [[level_name(axis, value) for value in frame[axis]] for axis in axes]
    return np.array(["-".join(values) for values in zip(*columns)], dtype=object)


def level_order(study, axis):
    """The values of an axis as text: numbers ascending, words in the order of the command, those that it does not name after them."""
    present = list(dict.fromkeys(study.jobs[axis]))
    try:
        return sorted(present, key=float)
    except ValueError:
        pass
    planned = [text.removeprefix(f"{axis}=") for job in study.ledger["jobs"] or [] for text in job if text.startswith(f"{axis}=")]
    order = {value: place for place, value in enumerate(dict.fromkeys(planned))}
    return sorted(present, key=lambda value: order.get(value, len(order)))


def read_curves(study):
    """{run: frame of metrics.csv}, a row an epoch, its columns numbers; runs without a whole epoch are left out."""
    curves = {}
    for name in study.jobs["name"]:
        try:
            check_file(study.folder / name / METRICS)
            curve = pd.read_csv(study.folder / name / METRICS).select_dtypes("number")
        except (OSError, ValueError) as error:
            study.lacks(name, METRICS, error)
            continue
        if len(curve) and "epoch" in curve:
            curves[name] = curve
    return curves


def read_predictions(study, name):
    """A run's predictions of the test part, a row a picture, its row in the data as index; None, and a sentence in `missing`, for none."""
    try:
        frame = read_table(study.folder / name / PREDICTIONS)
        return frame[frame["split"] == "test"].set_index("row").sort_index()
    except (OSError, ValueError) as error:
        study.lacks(name, PREDICTIONS, error)
        return None
