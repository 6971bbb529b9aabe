"""The differences between cells that a study looks at, as weights over its cells."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fer_lightning.config.cell_names import level_name, level_text

# Levels that stand for "without": what the others are a gain over. None is an axis set to null.
WITHOUT = ("none", "false")


@dataclass(frozen=True)
class Contrast:
    """name: what a reader calls it; weights: (cells,), summing to zero"""

    name: str
    weights: np.ndarray


class Roles(NamedTuple):
    """treated: the axis whose gains are compared, over its level `base`; other: the axis along which, against its level `reference`"""

    treated: str
    base: str
    other: str
    reference: str


def roles(design, registered):
    """Which of two crossed axes is the treatment: the one that has a level "none" or "false"; else the one with fewer levels.

    registered: {axis: level} of the study's reference cell: the base of an axis where no level says "without"; else its first level.
    """
    without = {axis: [level for level in levels if level.lower() in WITHOUT] for axis, levels in design.levels.items()}
    first, second = sorted(design.levels, key=lambda axis: (not without[axis], len(design.levels[axis])))
    bases = {axis: (without[axis] or [_registered(design, registered, axis)])[0] for axis in design.levels}
    return Roles(first, bases[first], second, bases[second])


def reference_cell(design, registered):
    """The cell that the others are compared with: of each axis the registered level, else the one that says "without", else the first.

    Where no job has that cell, the first one.
    """
    cell = tuple(_registered(design, registered, axis) for axis in design.levels)
    return cell if cell in design.cells else design.cells[0]


def _registered(design, registered, axis):
    levels = design.levels[axis]
    wanted = [level for level in levels if axis in registered and level == level_text(registered[axis])]
    return (wanted or [level for level in levels if level.lower() in WITHOUT] or levels)[0]


def gains(design, roles):
    """A contrast for each level of the other axis and of the treated one: that level over the base."""
    treatments = [level for level in design.levels[roles.treated] if level != roles.base]
    return [
        Contrast(f"{_gain(roles, treatment)} with {level_name(roles.other, level)}", _gain_weights(design, roles, treatment, level))
        for treatment in treatments
        for level in design.levels[roles.other]
    ]


def differences_of_gains(design, roles):
    """A contrast for each level of the other axis but the reference: its gain against the gain with the reference."""
    treatments = [level for level in design.levels[roles.treated] if level != roles.base]
    return [
        Contrast(
            f"{_gain(roles, treatment)}: {level_name(roles.other, level)} against {level_name(roles.other, roles.reference)}",
            _gain_weights(design, roles, treatment, level) - _gain_weights(design, roles, treatment, roles.reference),
        )
        for treatment in treatments
        for level in design.levels[roles.other]
        if level != roles.reference
    ]


def against(design, reference, cells):
    """A contrast for each of some cells but the reference: the cell less the reference."""
    return [Contrast(design.name(cell), _unit(design, cell) - _unit(design, reference)) for cell in cells if cell != reference]


def _gain(roles, treatment):
    return f"{level_name(roles.treated, treatment)} over {level_name(roles.treated, roles.base)}"


def _gain_weights(design, roles, treatment, level):
    def cell(treated):
        chosen = {roles.treated: treated, roles.other: level}
        return tuple(chosen[axis] for axis in design.levels)

    return _unit(design, cell(treatment)) - _unit(design, cell(roles.base))


def _unit(design, cell):
    weights = np.zeros(len(design.cells))
    weights[design.cells.index(cell)] = 1
    return weights


def per_block(table, contrasts):
    """Each contrast in each block: (blocks, contrasts) of table (blocks, cells), NaN where a run that it needs is missing."""
    columns = [table[:, c.weights != 0] @ c.weights[c.weights != 0] for c in contrasts]
    return np.stack(columns, 1) if columns else np.empty((len(table), 0))
