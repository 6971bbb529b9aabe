"""The differences between cells that a study looks at, as weights over its cells."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fer_lightning.config.cell_names import level_name, level_text

# Levels that mean "without": the other levels are compared with them. None is an axis set to null.
WITHOUT = ("none", "false")


@dataclass(frozen=True)
class Contrast:
    """name: what a reader calls it; weights: (cells,), which sum to zero
    treatment, level: if it is a gain or a difference of gains, what was changed ("bn instead of none") and where ("gelu")
    """

    name: str
    weights: np.ndarray
    treatment: str = ""
    level: str = ""


class Roles(NamedTuple):
    """treated: the axis whose gains are compared; base: its level that a gain is measured from
    other: the axis that the gains may depend on; reference: its level that the others are compared with
    """

    treated: str
    base: str
    other: str
    reference: str


def roles(design, registered):
    """Which of two crossed axes is the treatment: the one that has a level "none" or "false"; else the one with fewer levels.

    registered: {axis: level} of the study's reference cell. The base of an axis is its level that means "without", else the registered
    one, else its first.
    """
    without = {axis: [level for level in levels if level.lower() in WITHOUT] for axis, levels in design.levels.items()}
    first, second = sorted(design.levels, key=lambda axis: (not without[axis], len(design.levels[axis])))
    bases = {axis: (without[axis] or [_registered(design, registered, axis)])[0] for axis in design.levels}
    return Roles(first, bases[first], second, bases[second])


def reference_cell(design, registered):
    """The cell that the others are compared with: of each axis the registered level, else the one that means "without", else the first.

    If no job has that cell, the first cell.
    """
    cell = tuple(_registered(design, registered, axis) for axis in design.levels)
    return cell if cell in design.cells else design.cells[0]


def _registered(design, registered, axis):
    levels = design.levels[axis]
    wanted = [level for level in levels if axis in registered and level == level_text(registered[axis])]
    return (wanted or [level for level in levels if level.lower() in WITHOUT] or levels)[0]


def gains(design, roles):
    """A contrast for each treatment and each level of the other axis: that treatment minus the base, at that level."""
    return [_gain(design, roles, treatment, level) for treatment, level in _treated(design, roles)]


def differences_of_gains(design, roles):
    """A contrast for each treatment and each level of the other axis but the reference: the gain there minus the gain at the reference."""
    differences = []
    for treatment, level in _treated(design, roles):
        if level != roles.reference:
            there, here = _gain(design, roles, treatment, level), _gain(design, roles, treatment, roles.reference)
            treated, base = level_name(roles.treated, treatment), level_name(roles.treated, roles.base)
            name = f"{treated} over {base}: {there.level} against {here.level}"
            differences.append(replace(there, name=name, weights=there.weights - here.weights))
    return differences


def against(design, reference, cells):
    """A contrast for each of some cells but the reference: the cell minus the reference."""
    return [Contrast(design.name(cell), _unit(design, cell) - _unit(design, reference)) for cell in cells if cell != reference]


def _treated(design, roles):
    """Every (treatment, level of the other axis)."""
    treatments = [level for level in design.levels[roles.treated] if level != roles.base]
    return [(treatment, level) for treatment in treatments for level in design.levels[roles.other]]


def _gain(design, roles, treatment, level):
    def weights(treated):
        chosen = {roles.treated: treated, roles.other: level}
        return _unit(design, tuple(chosen[axis] for axis in design.levels))

    treated, base, where = level_name(roles.treated, treatment), level_name(roles.treated, roles.base), level_name(roles.other, level)
    difference = weights(treatment) - weights(roles.base)
    return Contrast(f"{treated} over {base} with {where}", difference, f"{treated} instead of {base}", where)


def _unit(design, cell):
    weights = np.zeros(len(design.cells))
    weights[design.cells.index(cell)] = 1
    return weights


def per_block(table, contrasts):
    """The value of each contrast in each block, (blocks, contrasts), from table (blocks, cells); NaN if a run that it needs is missing."""
    columns = [table[:, c.weights != 0] @ c.weights[c.weights != 0] for c in contrasts]
    return np.stack(columns, 1) if columns else np.empty((len(table), 0))
