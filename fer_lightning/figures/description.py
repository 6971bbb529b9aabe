"""The description of a figure, which plotly draws on a page and matplotlib in a file."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Axis:
    """ticks: names of the places 0, 1, 2, ...; without them the axis is a scale of numbers; downwards: whether 0 is at the top"""

    title: str
    ticks: tuple = ()
    downwards: bool = False


@dataclass(frozen=True)
class Series:
    """Points, a line or bars.

    x, y:      coordinates, equally many
    style:     points | faint | hollow | line | step (a line that goes right, then up; in a file each point has its text beside it) |
               bar (from 0 up to y, as wide as `width`)
    colour:    number of the colour and the marker
    low, high: the ends of an interval about each point, along x if `across`, else along y
    text:      a string for each point
    """

    name: str
    x: list
    y: list
    style: str = "points"
    colour: int = 0
    low: list | None = None
    high: list | None = None
    across: bool = False
    text: list | None = None
    width: float = 0.8


@dataclass(frozen=True)
class Chart:
    """name: of the file, and of its id on the page; at: a value of x that a line marks, such as no difference
    marks: {name: value of x} of dotted lines with a name, such as where a phase begins
    """

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: list
    at: float | None = None
    marks: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Matrix:
    """Shares of 1 in a square with a row for each true class and a column for each prediction."""

    name: str
    title: str
    caption: str
    labels: tuple
    values: np.ndarray
