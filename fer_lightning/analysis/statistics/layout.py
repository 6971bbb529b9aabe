"""The layout of a study: its cells, the blocks (seeds) that repeat them, and its scores as tables of blocks x cells."""

import itertools
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_lightning.analysis.job_table import axes_of
from fer_lightning.config.cell_names import cell_name, level_text

# Axes that repeat a cell on other data and make no new cell: like the seed, they are blocks.
BLOCKING = ("protocol.fold", "protocol.seed", "data.seed")


@dataclass(frozen=True)
class Design:
    """jobs:     frame of `make_jobs` with `cell` and `block`, positions in the two lists below
    levels:   {axis that varies: its levels as text}, numbers ascending, words in the order of the jobs
    cells:    tuples of levels; for two crossed axes the full grid, the second axis varying fastest; else the cells that have a job
    blocks:   names of the repeats of the cells: the seed, and the value of each axis in `blocking`
    blocking: the axes of BLOCKING that the study has
    crossed:  whether two axes make a grid
    repeated: names of the done jobs left out because another job is done in the same cell and block
    outcome:  the score that is tested
    """

    jobs: pd.DataFrame
    levels: dict
    cells: list
    blocks: list
    blocking: tuple
    crossed: bool
    repeated: tuple
    outcome: str

    @property
    def done(self):
        return self.jobs[self.jobs["status"] == "done"]

    @property
    def part(self):
        """The part of the data on which the outcome was scored: test or val."""
        return self.outcome.partition("_")[0]

    def table(self, column):
        """A score as (blocks, cells), NaN if no run is done or the run has no such score, or an infinite one, because it diverged."""
        table = np.full((len(self.blocks), len(self.cells)), np.nan)
        if column in self.done:
            table[self.done["block"], self.done["cell"]] = pd.to_numeric(self.done[column], errors="coerce")
        return np.where(np.isfinite(table), table, np.nan)

    def name(self, cell):
        """A cell as its run folders name it, by the axes that vary ("gelu-lr0.1")."""
        return cell_name(dict(zip(self.levels, cell))) or "single cell"


def layout(jobs, outcome):
    """The Design of a frame of `make_jobs`. outcome: as registered; if no done job has it, val_accuracy is used."""
    done = jobs[jobs["status"] == "done"]
    if not (outcome in done and done[outcome].notna().any()):
        outcome = "val_accuracy"
    text = jobs[axes_of(jobs)].map(level_text)
    blocking = tuple(axis for axis in text if axis in BLOCKING)
    levels = {axis: _ordered(text[axis].unique()) for axis in text if axis not in blocking and text[axis].nunique() > 1}
    cell_of = [tuple(row) for row in text[list(levels)].to_numpy()]
    repeats = jobs[["seed", *blocking]].map(level_text)
    block_of = [", ".join(f"{axis} {value}" for axis, value in zip(repeats, row)) for row in repeats.to_numpy()]
    grid = list(itertools.product(*levels.values())) if len(levels) == 2 else []
    crossed = 2 * len(set(cell_of)) > len(grid) > 0
    cells = grid if crossed else sorted(set(cell_of), key=lambda cell: [levels[axis].index(v) for axis, v in zip(levels, cell)])
    blocks = sorted(set(block_of), key=_natural)
    placed = jobs.assign(cell=_positions(cell_of, cells), block=_positions(block_of, blocks))
    done = placed[placed["status"] == "done"]
    again = done[done.duplicated(["cell", "block"])]
    return Design(placed.drop(again.index), levels, cells, blocks, blocking, crossed, tuple(again["name"]), outcome)


def _positions(items, order):
    place = {item: i for i, item in enumerate(order)}
    return [place[item] for item in items]


def _ordered(levels):
    try:
        return sorted(levels, key=float)
    except ValueError:
        return list(levels)


def _natural(name):
    """Sort key that orders numbers in a name by their value: seed 2 before seed 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
