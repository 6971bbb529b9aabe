"""All that a report shows of a study, gathered from its files. What cannot be read is named and left out."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lightning.analysis.job_table import axes_of, make_jobs, rank_cells
from fer_lightning.analysis.published import compare
from fer_lightning.config.cell_names import cell_name, folder_name
from fer_lightning.data.faces import classes_of
from fer_lightning.runs.evaluations import read_evaluations
from fer_lightning.runs.job_states import place
from fer_lightning.runs.layout import METRICS, PREDICTIONS, RESULT
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.predictions import part_of, read_predictions
from fer_lightning.runs.result import read_results
from fer_lightning.runs.study_file import read_ledger, with_defaults
from fer_lightning.safety.untrusted_files import links_in


@dataclass
class StudyRecord:
    """A study folder as frames.

    ledger:  study.json, with defaults for what it lacks
    results: {run: its result.json}
    missing: sentences on files that could not be read
    """

    folder: Path
    ledger: dict
    results: dict
    missing: list

    @cached_property
    def jobs(self):
        """A row a run, see `make_jobs`."""
        return make_jobs(self.results)

    @cached_property
    def axes(self):
        """The swept keys, without the seed."""
        return axes_of(self.jobs)

    @cached_property
    def labels(self):
        """The name of each run's cell, in the order of `jobs`: that of its folder without the seed ("gelu-lr0.1")."""
        cells = [result["job"]["cell"] or {} for result in self.results.values()]
        return np.array([cell_name({axis: cell.get(axis) for axis in self.axes}) or "single cell" for cell in cells], dtype=object)

    @cached_property
    def cells(self):
        """A row a cell with a finished run, the best first, see `rank_cells`. The index has their labels."""
        cells = rank_cells(self.jobs) if len(self.done) else pd.DataFrame({axis: [] for axis in self.axes})
        labels = dict(zip(map(tuple, self.jobs[self.axes].to_numpy()), self.labels, strict=True))
        return cells.set_axis(pd.Index([labels[tuple(levels)] for levels in cells[self.axes].to_numpy()], dtype=object))

    @cached_property
    def runs(self):
        """{cell: its finished runs in the order of their seeds}, a frame of jobs each, the best cell first."""
        done = self.done.sort_values("seed", kind="stable", key=lambda seeds: pd.to_numeric(seeds, errors="coerce"))
        frames = dict(list(done.groupby(pd.Series(self.labels, self.jobs.index).loc[done.index], sort=False)))
        return {label: frames[label] for label in self.cells.index}

    @cached_property
    def published(self):
        """The paper's numbers beside those measured, a row each, see `compare`."""
        return compare(self.jobs, self.ledger["study"], results=self.results, shipped=self.ledger["shipped"], folder=self.folder)

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

    @cached_property
    def never_begun(self):
        """The names of the planned jobs that have no record at all."""
        axes = self.ledger["axes"]
        begun = {place(result["job"].get("overrides") or (), axes) for result in self.results.values()}
        planned = dict.fromkeys(place(job, axes) for job in self.ledger["jobs"] or [])
        return [folder_name(dict(zip(axes, levels)), seed) for *levels, seed in planned if (*levels, seed) not in begun]

    @cached_property
    def evaluations(self):
        """{(cell, name of the file): the records of its seeds} of the scores on other data."""
        found = {}
        for label in self.cells.index:
            for name in self.runs[label]["name"]:
                records, damaged = read_evaluations(self.folder / name)
                self.missing += [f"{name}/{file} is damaged ({why})." for file, why in damaged.items()]
                for file, record in records.items():
                    found.setdefault((label, file), []).append(record)
        return found

    def classes(self, label):
        """The names of the classes of a cell, those of its first run."""
        return classes_of(self.results[self.runs[label]["name"].iloc[0]])

    def test_scores(self, label):
        """The scores of the test part of each finished run of a cell, for those that have one."""
        metrics = [self.results[name].get("metrics") or {} for name in self.runs[label]["name"]]
        return [part["test"] for part in metrics if part.get("test")]

    def lacks(self, name, file, error):
        """Note that a file of a run could not be read; of a run that is not done the file need not be there."""
        if (self.folder / name / file).exists():
            self.missing.append(f"{name}/{file} is damaged ({' '.join(str(error).split())}).")
        elif self.results[name]["status"] == "done":
            self.missing.append(f"{name}/{file} is missing.")


def gather(folder):
    """Read a study folder. UserError if it has no run folder."""
    folder = Path(folder)
    results, damaged = read_results(folder)
    missing = [f"{name}/{RESULT} is damaged." for name in damaged]
    links = [path for path in map(Path, links_in(folder)) if path.is_dir()]
    missing += [f"{path.name} is a link, which is not followed: copy the run here." for path in links]
    return StudyRecord(folder, read_ledger(folder) or with_defaults({}), results, missing)


def read_curves(study):
    """{run: frame of metrics.csv}, a row an epoch; runs that have not finished an epoch are left out."""
    curves = {}
    for name in study.jobs["name"]:
        try:
            rows = read_metrics(study.folder / name)
        except (OSError, ValueError) as error:
            study.lacks(name, METRICS, error)
            continue
        if rows:
            curves[name] = pd.DataFrame(rows)
    return curves


def read_test_part(study, name):
    """A run's predictions of the test part, ordered by row, which is the index; None, and a sentence in `missing`, if there are none."""
    try:
        return part_of(read_predictions(study.folder / name), "test")
    except (OSError, ValueError) as error:
        study.lacks(name, PREDICTIONS, error)
        return None
