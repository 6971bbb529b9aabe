"""Figures as files for a paper, drawn by matplotlib."""

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fer_lightning.figures.description import Matrix
from fer_lightning.figures.style import look
from fer_lightning.process.files import make_folder, replacing

DPI = 200
WIDTH = 5.5  # inches: the text of a page in one column
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # fonts as text: journals refuse outlines of type 3
    "svg.fonttype": "none",
    "svg.hashsalt": "fer_lightning",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


def write_figures(figures, folder, suffix):
    """Write each figure as NAME.suffix and return the paths. figures: {name: Chart or Matrix}; suffix: pdf, png or svg."""
    make_folder(folder)
    paths = []
    for name, figure in figures.items():
        with matplotlib.rc_context(STYLE):
            drawn = _draw_matrix(figure) if isinstance(figure, Matrix) else _draw_chart(figure)
            path = folder / f"{name}.{suffix}"
            # The same study gives the same bytes: no date.
            dated = {"pdf": "CreationDate", "svg": "Date"}
            with replacing(path) as part:
                drawn.savefig(part, format=suffix, dpi=DPI, metadata={dated[suffix]: None} if suffix in dated else None)
        paths.append(path)
    return paths


def matrix_pixels(matrix):
    """A Matrix as `write_figures` draws it, as pixels (H, W, 3) uint8."""
    with matplotlib.rc_context(STYLE):
        drawn = _draw_matrix(matrix)
        drawn.set_dpi(DPI)
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _draw_chart(chart):
    rows = len(chart.y.ticks)
    figure = Figure(figsize=(WIDTH, 1.4 + 0.2 * rows if rows else 3.2), layout="constrained")
    axes = figure.subplots()
    if chart.at is not None:
        axes.axvline(chart.at, color="#888888", linewidth=0.8)
    for name, x in chart.marks.items():
        axes.axvline(x, color="#888888", linewidth=0.8, linestyle=":")
        axes.annotate(name, (x, 1), xycoords=("data", "axes fraction"), xytext=(3, -8), textcoords="offset points", fontsize=6)
    for series in chart.series:
        _add(axes, series)
    for axis, described in ((axes.xaxis, chart.x), (axes.yaxis, chart.y)):
        if described.ticks:
            axis.set_ticks(range(len(described.ticks)), described.ticks)
        axis.set_label_text(described.title)
    if all(isinstance(x, int) for series in chart.series for x in series.x) and not chart.x.ticks:
        axes.xaxis.get_major_locator().set_params(integer=True)  # epochs
    if chart.y.downwards:
        axes.invert_yaxis()
    if len(chart.x.ticks) > 6:
        axes.tick_params("x", rotation=30)
    axes.set_title(chart.title, loc="left")
    figure.legend(loc="outside lower left", ncols=3)
    return figure


def _add(axes, series):
    colour, marker, dash = look(series.colour, "matplotlib")
    x, y = np.array(series.x, float), np.array(series.y, float)
    label = series.name or "_"  # matplotlib leaves names with an underscore out of the legend
    match series.style:
        case "line":
            axes.plot(x, y, color=colour, linestyle=dash, marker=marker if len(x) < 6 else None, markersize=4, label=label)
        case "step":
            axes.step(x, y, where="post", color=colour, linewidth=1, marker=marker, markersize=4, label=label)
            for place in zip(x, y, series.text, strict=True):
                axes.annotate(place[2], place[:2], xytext=(4, -8), textcoords="offset points", fontsize=6)
        case "bar":
            axes.bar(x, y, series.width, color=colour, alpha=0.45, label=label)
        case "faint":
            axes.plot(x, y, marker, color=colour, alpha=0.5, markersize=3, markeredgewidth=0, label=label)
        case "hollow":
            axes.plot(x, y, marker, color=colour, markerfacecolor="none", markersize=5, label=label)
        case _:
            axes.plot(x, y, marker, color=colour, markersize=5, label=label)
    if series.low is not None:
        centre = x if series.across else y
        ends = np.array([centre - np.array(series.low, float), np.array(series.high, float) - centre])
        axes.errorbar(x, y, **{"xerr" if series.across else "yerr": ends}, fmt="none", ecolor=colour, elinewidth=1, capsize=2)


def _draw_matrix(matrix):
    figure = Figure(figsize=(4.2, 3.8))
    # Fixed margins that fit the classes: finding them takes as long as drawing, and W&B gets this figure after every job.
    axes = figure.add_axes((0.18, 0.18, 0.75, 0.75))
    axes.imshow(matrix.values, cmap="cividis", vmin=0, vmax=1)
    places = range(len(matrix.labels))
    axes.set_xticks(places, matrix.labels, rotation=40, ha="right")
    axes.set_yticks(places, matrix.labels)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(matrix.values):
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color="black" if value > 0.5 else "white")
    axes.set_title(f"Confusion: {matrix.title}", loc="left")
    return figure
