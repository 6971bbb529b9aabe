"""What a figure is, before anything draws it: what lies where and what it is called."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """ticks: names of the places 0, 1, 2, ...; without them the axis is a scale of numbers."""

    title: str
    ticks: tuple = ()
    downwards: bool = False


@dataclass(frozen=True)
class Series:
    """Points or a line.

    x, y:      places, equally many
    style:     points | faint | hollow | line | step (a line that goes right, then up; a file writes each text beside its point)
    colour:    number of the colour and the marker
    low, high: the ends of an interval about each point, along x where `across`, else along y
    text:      what each point is, a string a point
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


@dataclass(frozen=True)
class Chart:
    """name: of the file and of the place on the page; at: a value of x that a line marks, such as no difference."""

    name: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: list
    at: float | None = None


@dataclass(frozen=True)
class Matrix:
    """Shares of 1 in a square with a row for each true class and a column for each prediction."""

    name: str
    title: str
    caption: str
    labels: tuple
    values: np.ndarray
