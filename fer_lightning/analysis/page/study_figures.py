"""The figures of a study, as descriptions: plotly draws them on the page, matplotlib in files."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.statistics.descriptive import cell_interval
from fer_lightning.config.cell_names import cell_name
from fer_lightning.config.registered_analysis import registered
from fer_lightning.figures.description import Axis, Chart, Matrix, Series
from fer_lightning.figures.style import COLOURS
from fer_lightning.stability.run_label import CUT_OFFS, TITLES

# Nobody reads more rows or lines in a figure; the tables have them all.
MOST_ROWS = 40
MOST_LINES = 12

INTERVALS = "Intervals are of 95 %: Student's over the seeds; of one seed Wilson's over the images."


def draw_figures(study, curves, contrasts, *, chances=None, reliability_of=None):
    """All figures that the study has data for, as {name: Chart or Matrix}.

    curves: of `read_curves`; contrasts, chances, reliability_of: contrasts, chances and reliability of `StudyStatistics`
    """
    figures = [ranking(study), published(study), *by_two_axes(study), forest(contrasts), more_seeds(chances), stability(study)]
    figures += [*costs(study), confusion(study), reliability(reliability_of)]
    figures += [mean_curves(study, curves, metric) for metric in ("val/accuracy", "val/loss")]
    return {figure.name: figure for figure in figures if figure is not None}


def outcome(study):
    """(column of the jobs, its name) of the score that figures show: the registered outcome, or validation without a test accuracy."""
    column = registered(study.ledger["study"]).outcome
    tested = study.done[column].notna().any()
    return ("test_accuracy", "test accuracy") if tested and column == "test_accuracy" else ("val_accuracy", "validation accuracy")


def spread(study, runs):
    """(mean, low, high) of the outcome over some runs, in percent; NaN if there is none; one validation score has no interval."""
    column, _ = outcome(study)
    values = runs[column].dropna().to_numpy(float)
    if not len(values):
        return np.nan, np.nan, np.nan
    images = runs["test_n"].iloc[0] if column == "test_accuracy" else None
    low, high = cell_interval(values, images)
    return 100 * values.mean(), 100 * low, 100 * high


def ranking(study):
    """Every cell with its mean, its interval and each seed, the best by validation on top."""
    labels = list(study.cells.index[:MOST_ROWS])
    if not labels:
        return None
    column, name = outcome(study)
    runs = [study.runs[label] for label in labels]
    seeds = pd.concat([frame.assign(place=place) for place, frame in enumerate(runs)])
    series = [
        Series("one seed", _percent(seeds[column]), (seeds["place"] + 0.22).tolist(), "faint", text=seeds["name"].tolist()),
        _means("mean and interval", [spread(study, frame) for frame in runs], range(len(runs)), across=True, text=labels),
    ]
    if column == "test_accuracy" and "val_accuracy" in study.cells:
        validation = _percent(study.cells["val_accuracy"].iloc[: len(labels)])
        series.append(Series("validation, mean", validation, list(range(len(labels))), "hollow", 1, text=labels))
    first = f" The first {len(labels)} of {len(study.cells)} cells." if len(study.cells) > len(labels) else ""
    caption = f"Ordered by validation accuracy. {INTERVALS}{first}"
    return Chart("ranking", "Every cell, every seed", caption, Axis(f"{name}, %"), Axis("", tuple(labels), downwards=True), series)


def published(study):
    """What the paper printed beside what was measured, one row an accuracy."""
    table = study.published
    if not len(table):
        return None
    exact = pd.to_numeric(table["published"], errors="coerce").notna()  # no bound such as < 90
    table = table[table["metric"].str.contains("accuracy") & exact][:MOST_ROWS]
    if not len(table):
        return None
    keys = list(table.columns[: table.columns.get_loc("row")])
    cells = [cell_name(dict(zip(keys, values, strict=True))) for values in table[keys].to_numpy()]
    labels = [f"{cell} {metric.replace('_accuracy', '')}".strip() for cell, metric in zip(cells, table["metric"], strict=True)]
    places = list(range(len(table)))
    spreads = list((100 * table[["measured", "low", "high"]].astype(float)).itertuples(index=False, name=None))
    series = [
        _means("measured, with interval", spreads, places, across=True, text=labels),
        Series("published", table["published"].astype(float).tolist(), places, "hollow", 1, text=table["row"].tolist()),
    ]
    y = Axis("", tuple(labels), downwards=True)
    caption = "Intervals of 95 %: Student's over the seeds; with one seed, Wilson's over the test images."
    return Chart("published", "Published against measured", caption, Axis("accuracy, %"), y, series)


def forest(contrasts):
    """Differences between cells with their intervals, a colour for each kind; a line marks no difference."""
    rows = contrasts[contrasts["low"].notna()][:MOST_ROWS]
    if not len(rows):
        return None
    series = []
    for colour, kind in enumerate(rows["kind"].unique()):
        chosen = np.flatnonzero(rows["kind"] == kind)
        spreads = list((100 * rows.iloc[chosen][["estimate", "low", "high"]].astype(float)).itertuples(index=False, name=None))
        names = rows["name"].iloc[chosen].tolist()
        series.append(_means(kind, spreads, chosen.tolist(), colour=colour, across=True, text=names))
    first = f" The first {MOST_ROWS} of {len(contrasts)}." if len(contrasts) > MOST_ROWS else ""
    caption = f"Paired by seed. Intervals are simultaneous within a colour: one that excludes 0 shows a difference.{first}"
    y = Axis("", tuple(rows["name"]), downwards=True)
    return Chart("contrasts", "Differences between cells", caption, Axis("points"), y, series, at=0)


def more_seeds(chances):
    """The chance of each word of the verdict over the number of seeds."""
    if chances is None:
        return None
    words = [column for column in chances if column != "seeds"]
    series = [Series(word, chances["seeds"].tolist(), _percent(chances[word]), "line", colour) for colour, word in enumerate(words)]
    caption = "The verdict of studies drawn from this one, if the true means are those estimated here and rates are tuned in every cell."
    return Chart("more_seeds", "How many more seeds", caption, Axis("seeds"), Axis("chance, %"), series)


def reliability(curve):
    """How often the first cell is right, by how sure it is, before and after temperature scaling; its seeds together."""
    if curve is None:
        return None
    cell, sums = curve
    series = [Series("calibrated", [0, 100], [0, 100], "line", 2)]
    for colour, (name, bins) in enumerate(zip(("as trained", "scaled by temperature"), sums)):
        images, probability, right = bins[bins[:, 0] > 0].T
        text = [f"{int(n):,} images" for n in images]
        series.append(Series(name, (100 * probability / images).tolist(), (100 * right / images).tolist(), "points", colour, text=text))
    caption = "Test images in bins of their highest probability; the temperature is fitted on validation. Below the line: too sure."
    return Chart("reliability", f"Reliability of {cell}", caption, Axis("highest probability, %"), Axis("right, %"), series)


def stability(study):
    """The five measures from which a stability label is made, each relative to the largest value that the label High allows."""
    labels = list(study.cells.index[:MOST_ROWS])
    series = []
    for colour, (measure, (limit, _)) in enumerate(CUT_OFFS.items()):
        sound = [runs[~runs["stability_div"].fillna(False).astype(bool)] for runs in (study.runs[label] for label in labels)]
        means = [pd.to_numeric(runs[f"stability_{measure}"], errors="coerce").mean() / limit for runs in sound]
        if not np.isnan(means).all():
            places = [place + (colour - (len(CUT_OFFS) - 1) / 2) * 0.14 for place in range(len(labels))]
            series.append(Series(TITLES[measure], means, places, "points", colour, text=labels))
    if not series:
        return None
    caption = "Means over the seeds that did not diverge, relative to the largest value of a run labelled High (the line). Left is stable."
    y = Axis("", tuple(labels), downwards=True)
    return Chart("stability", "What the stability labels are made of", caption, Axis("times the limit"), y, series, at=1)


def two_axes(study):
    """The two axes that the papers' figures compare: norm and activation if both vary, else the first two that vary."""
    varying = [axis for axis in study.axes if study.done[axis].nunique() > 1]
    pair = [axis for axis in ("head.act", "head.norm") if axis in varying]
    return pair if len(pair) == 2 else varying[:2]


def by_two_axes(study):
    """The outcome by the levels of one axis, a colour for each level of the other: the papers' bars, and lines for the interaction."""
    axes = two_axes(study)
    if not axes:
        return []
    column, name = outcome(study)
    first, second = axes if len(axes) == 2 else (axes[0], None)
    ticks = level_order(study, first)
    rest = [axis for axis in study.axes if axis not in axes]
    pooled = f" All values of {', '.join(rest)} together." if rest else ""
    groups = level_order(study, second) if second else [""]
    series, done = [], study.done
    for colour, group in enumerate(groups):
        runs = done[done[second] == group] if second else done
        by_tick = [runs[runs[first] == tick] for tick in ticks]
        places = [place + (colour - (len(groups) - 1) / 2) * 0.75 / len(groups) for place in range(len(ticks))]
        seeds = pd.concat([frame.assign(place=place) for place, frame in zip(places, by_tick)])
        label = f"{_last(second)} {group}" if second else "mean and interval"
        bars = {"style": "bar", "colour": colour, "text": [label] * len(ticks), "width": 0.7 / len(groups)}
        series.append(_means(label, [spread(study, frame) for frame in by_tick], places, **bars))
        series.append(Series("", (seeds["place"] + 0.06).tolist(), _percent(seeds[column]), "hollow", colour, text=seeds["name"].tolist()))
    title = f"{name.capitalize()} by {_last(first)}" + (f" and {_last(second)}" if second else "")
    y = Axis(f"{name}, %")
    points = Chart("by_axis", title, f"Bars from 0, every seed as a mark. {INTERVALS}{pooled}", Axis(_last(first), tuple(ticks)), y, series)
    return [points, interaction(study, second, first, pooled)] if second else [points]


def interaction(study, across, lines, pooled):
    """A line for each level of one axis over the levels of another: parallel lines mean no interaction."""
    _, name = outcome(study)
    ticks, groups, done = level_order(study, across), level_order(study, lines), study.done
    series = []
    for colour, group in enumerate(groups):
        runs = done[done[lines] == group]
        spreads = [spread(study, runs[runs[across] == tick]) for tick in ticks]
        places = [place + (colour - (len(groups) - 1) / 2) * 0.02 for place in range(len(ticks))]
        series.append(_means(group, spreads, places, style="line", colour=colour, text=[group] * len(ticks)))
    caption = f"Parallel lines: the effect of {_last(across)} is the same for every {_last(lines)}. {INTERVALS}{pooled}"
    title = f"Interaction of {_last(across)} and {_last(lines)}"
    return Chart("interaction", title, caption, Axis(_last(across), tuple(ticks)), Axis(f"{name}, %"), series)


# Column of the jobs: (what it is called, title of its axis, unit).
COSTS = {
    "total_s": ("time", "seconds a run", 1),
    "parameters": ("parameters", "parameters, M", 1e6),
    "flops": ("FLOPs", "GFLOPs an image", 1e9),
}


def costs(study):
    """The outcome over each cost, with the Pareto front; a cost that is the same for all cells is left out."""
    column, name = outcome(study)
    figures = []
    for cost, (short, title, unit) in COSTS.items():
        table = study.done.groupby(study.labels[study.jobs["status"] == "done"], sort=False)[[cost, column]].mean().dropna()
        if table[cost].nunique() < 2:
            continue
        x, y = (table[cost] / unit).tolist(), _percent(table[column])
        front = pareto_front(x, y)
        series = [
            Series("cells", x, y, "points", 0, text=list(table.index)),
            Series("Pareto front", [x[i] for i in front], [y[i] for i in front], "step", 1, text=[table.index[i] for i in front]),
        ]
        caption = "The front: no other cell is both cheaper and better."
        figures.append(Chart(f"cost_{cost.removesuffix('_s')}", f"Accuracy over {short}", caption, Axis(title), Axis(f"{name}, %"), series))
    return figures


def pareto_front(cost, value):
    """Indices of the points that no other point beats in both, cheapest first: each has a higher value than every cheaper one."""
    front = []
    for i in sorted(range(len(cost)), key=lambda i: (cost[i], -value[i])):
        if not front or value[i] > value[front[-1]]:
            front.append(i)
    return front


def mean_curves(study, curves, metric):
    """The mean over the seeds of each of the best cells, epoch by epoch; training dashed beside it while the colours last."""
    part, name = metric.split("/")
    labels = study.cells.index[:MOST_LINES]
    drawn = {metric: ("", 0)} | ({f"train/{name}": (", training", len(COLOURS))} if len(labels) <= len(COLOURS) else {})
    series, marks = [], {}
    for colour, label in enumerate(labels):
        names = [run for run in study.runs[label]["name"] if run in curves and metric in curves[run]]
        for column, (what, dashed) in drawn.items() if names else ():
            mean = pd.concat([curves[run] for run in names]).reindex(columns=["epoch", column]).groupby("epoch")[column].mean().dropna()
            scale = 100 if name == "accuracy" else 1
            series.append(Series(f"{label}{what}", (mean.index + 1).tolist(), (scale * mean).tolist(), "line", colour + dashed))
        for run in names:
            marks |= {phase: start + 0.5 for phase, start in (study.results[run].get("phases") or {}).items() if start}
    if not series:
        return None
    title = f"{'validation' if part == 'val' else part} {name}"
    y = Axis("accuracy, %" if name == "accuracy" else name)
    caption = f"Mean over the seeds of the {len(labels)} best cells. Dashed: training. Dotted: where a phase begins."
    return Chart(f"curves_{part}_{name}", f"Learning curves: {title}", caption, Axis("epoch"), y, series, marks=marks)


def confusion(study):
    """The confusion matrix of the best cell, its seeds together, each row as shares of the true class."""
    for label in study.cells.index:
        counts = confusion_counts(study, label)
        if counts is not None:
            shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
            return Matrix("confusion", str(label), "One row for each true class, in % of that class.", study.classes(label), shares)
    return None


def confusion_counts(study, label):
    """The C x C counts of a cell on the test part, summed over its seeds; rows are true classes. None if no run has any."""
    counts = [part["confusion"] for part in study.test_scores(label) if len(part.get("confusion") or ()) == len(study.classes(label))]
    return np.sum(counts, axis=0) if counts else None


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


def _means(name, spreads, places, *, across=False, **about):
    """A series of means with their intervals. spreads: (mean, low, high) for each place; about: of the Series."""
    means, low, high = (list(values) for values in zip(*spreads, strict=True))
    x, y = (means, list(places)) if across else (list(places), means)
    return Series(name, x, y, low=low, high=high, across=across, **about)


def _percent(values):
    return (100 * values.astype(float)).tolist()


def _last(axis):
    """The last word of a key: norm, act, lr."""
    return axis.rsplit(".", 1)[-1]
