"""What a paper printed against what was measured, and an audit of the printed numbers themselves."""

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fer_lightning.analysis.papers_way import cells_of, changes, obstacles_of, typed_by
from fer_lightning.analysis.stability_of_cells import cell_words
from fer_lightning.analysis.statistics.descriptive import classical_interval
from fer_lightning.runs import scores
from fer_lightning.runs.metrics_csv import read_metrics


def attainable(printed, images):
    """Whether some count of `images` rounds to a printed percentage such as "68.78" (checklist A.5). images None: not known, True."""
    if images is None or images < 1:
        return True
    decimals = len(printed.partition(".")[2])
    count = float(printed) / 100 * images
    return any(f"{100 * k / images:.{decimals}f}" == printed for k in (math.floor(count), math.ceil(count)))


def compare(jobs, study, *, results=None, shipped=None, folder=None):
    """One row for every number of the paper that was measured too.

    jobs: frame of `make_jobs`; study: the study node of study.json; results: {run: its result.json}; folder: of the study
    shipped: {key: value} in the study's own file, of the keys that the command sets

    Columns: the cell's keys, row, metric, unit (%, M, ms or empty), published (as text, in that unit), measured, sd, n, low, high,
    verdict. Percentages are fractions but for `published`. The verdict of a number with an interval is inside | above | below (the
    interval lies above or below the paper); of any other equal | differs | holds | does not hold; or not comparable: why.
    """
    results, shipped, rows = results or {}, shipped or {}, []
    done = jobs[jobs["status"] == "done"]
    typed = {name: typed_by(results.get(name, {})) for name in done["name"]}
    words = cell_words(jobs, study) if any(entry.get("stability") for entry in study["published"]) else {}
    for entry in study["published"]:
        for cell, runs in cells_of(done, entry["cell"], typed):
            changed = changes(typed[runs["name"].iloc[0]], entry["cell"], shipped)
            reached = _after(folder, runs["name"], entry["epoch"]) if isinstance(entry.get("epoch"), int) else None
            last = min((row["epoch"] + 1 for row in reached or ()), default=0)
            short = [f"ended after epoch {last:.0f}"] if reached and last < entry["epoch"] else []
            obstacles = [*obstacles_of(runs, study), *changed.values(), *short]
            for figure in _figures(entry, runs, results, reached):
                rows.append(cell | {"row": entry["row"]} | _row(figure, obstacles, _images(figure, runs, results)))
            rows += [cell | {"row": entry["row"], **other} for other in _others(entry, runs, words, changed)]
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Figure:
    """metric; share: whether it is a share, shown in percent; printed: as the paper has it; values: measured, a number a run"""

    metric: str
    share: bool
    printed: str
    values: list

    @property
    def bound(self):
        """< or > if the paper gives a bound only."""
        return self.printed[0] if self.printed[0] in "<>" else ""

    @property
    def paper(self):
        """The printed number on the scale of ours. Papers print accuracies in percent, but an F1 or a recall either way."""
        value = float(self.printed.lstrip("<> "))
        return value / 100 if self.share and (value > 1 or "accuracy" in self.metric) else value

    @property
    def shown(self):
        """The printed number in the unit that ours is shown in, with the paper's decimals: an F1 of 0.71 is 71 %."""
        printed = self.printed.lstrip("<> ")
        if self.share and self.paper == float(printed) != 0:
            printed = f"{100 * self.paper:.{max(0, len(printed.partition('.')[2]) - 2)}f}"
        return f"{self.bound} {printed}".strip()


def _figures(entry, runs, results, reached):
    """The scores in an entry that were measured too, as Figures. Without a part in its name, a score is of the test part.

    reached: the rows of `_after` if the entry is of an epoch, else None
    """
    found, at = [], "" if reached is None else f" after epoch {entry['epoch']}"
    for score in scores.SCORES:
        for part in ("test", "val", "train", None):
            metric = f"{part}_{score.name}" if part else score.name
            column, printed = metric if part else f"test_{score.name}", str(entry.get(metric) or "")
            if not _is_number(printed):
                continue
            if reached is not None:
                values = [row.get(f"{part}/{score.name}") for row in reached]
            else:
                column = _with_views(column, runs)
                values = runs.get(column, ())
            found.append(Figure(metric + at, score.percent, printed, _known(values)))
    for name, printed in (entry.get("per_class") or {}).items():
        tables = [_classes(results.get(run, {})) for run in runs["name"]]
        tables = [_average(table) if name == "overall" else table.get(name) or {} for table in tables]
        for measure, number in printed.items() if isinstance(printed, dict) else ():
            found.append(Figure(f"{measure} of {name}", True, str(number), _known(table.get(measure) for table in tables)))
    return [figure for figure in found if _is_number(figure.printed) and figure.values]


def _classes(result):
    """{class: {precision, recall, f1, support}} of the test part, from several views of each image if the run computed it."""
    test = (result.get("metrics") or {}).get("test") or {}
    table = test.get(next((name for name in test if name.startswith("per_class_")), "per_class"))
    return table if isinstance(table, dict) and all(isinstance(row, dict) for row in table.values()) else {}


def _average(table):
    """The mean of each measure over the classes, weighted by their images, as papers print it below their classes."""
    rows = [row for row in table.values() if row.get("support")]
    images = sum(row["support"] for row in rows)
    measures = ("precision", "recall", "f1") if images else ()
    return {key: sum(row.get(key, 0) * row["support"] for row in rows) / images for key in measures}


def _known(values):
    return [float(value) for value in values if pd.notna(value)]


def _after(folder, names, epoch):
    """The row of metrics.csv of each run after an epoch, counted from 1; of a run that did not come so far its last one."""
    reached = []
    for name in names if folder else ():
        with suppress(OSError, ValueError):  # a damaged file is named elsewhere
            reached += [row for row in read_metrics(folder / name) if row["epoch"] < epoch][-1:]
    return reached


def _is_number(printed):
    """Whether a text is a number, or a bound such as < 0.20."""
    try:
        return len(printed) < 20 and math.isfinite(float(printed.lstrip("<> ")))
    except (ValueError, TypeError):
        return False


def _with_views(column, runs):
    """The score from several views of each image if the runs computed it, as the paper then did; else `column`."""
    known = {score.name for score in scores.SCORES}
    views = [c for c in runs if c.startswith(f"{column}_") and c.partition("_")[2] not in known and "_clean" not in c]
    return next((view for view in views if runs[view].notna().any()), column)


def _images(figure, runs, results):
    """Of how many images a Figure is a share, if it has an interval with one seed; else None.

    An F1 is no share, and the images that were trained on are no sample of others.
    """
    metric = figure.metric.partition(" ")[0]
    if metric == "test_accuracy" and runs["test_n"].notna().all():
        return int(runs["test_n"].iloc[0])
    data = results.get(runs["name"].iloc[0], {}).get("data") or {}
    return sum(((data.get("counts") or {}).get("val") or {}).values()) or None if metric == "val_accuracy" else None


def _row(figure, obstacles, images):
    """A row of the frame for a Figure. images: of `_images`"""
    values = figure.values
    bounds, mean = classical_interval(values, images, figure.share), sum(values) / len(values)
    row = {"metric": figure.metric, "unit": "%" if figure.share else "", "published": figure.shown, "measured": mean}
    row |= {"sd": np.std(values, ddof=1) if len(values) > 1 else None, "n": len(values)}
    row |= dict(zip(("low", "high"), bounds or (None, None)))
    return row | {"verdict": _not_comparable(obstacles) or _verdict(figure, mean, bounds, len(values))}


def _not_comparable(obstacles):
    return f"not comparable: {'; '.join(obstacles)}" if obstacles else ""


def _verdict(figure, mean, bounds, number):
    if figure.bound:
        return "holds" if (mean < figure.paper if figure.bound == "<" else mean > figure.paper) else "does not hold"
    if bounds is None:
        return f"not comparable: {'one seed' if number == 1 else 'equal seeds'}, no interval"
    low, high = bounds
    return "above" if low > figure.paper else "below" if high < figure.paper else "inside"


def _others(entry, runs, words, changed):
    """Rows for what a paper prints beside its scores: parameters, milliseconds, a word for stability. None of them has an interval."""
    network = [sentence for key, sentence in changed.items() if key.split(".")[0] in ("backbone", "head", "input_size", "recipe")]
    printed = str(entry.get("parameters_m") or "")
    if _is_number(printed) and len(known := _known(runs.get("parameters", ()))):
        verdict = _not_comparable(network) or ("equal" if _rounds_to(known[0] / 1e6, printed) else "differs")
        yield _other("parameters", "M", printed, measured=known[0] / 1e6, n=len(known), verdict=verdict)
    printed = str(entry.get("test_pass_ms") or "")
    if _is_number(printed) and len(known := _known(runs.get("test_pass_ms", ()))):
        mean = sum(known) / len(known)
        yield _other("time of a test pass", "ms", printed, measured=mean, n=len(known), verdict=_not_comparable(["other hardware"]))
    if entry.get("stability") and (word := words.get(runs["name"].iloc[0])):
        verdict = _not_comparable(["the paper does not define it"])
        yield _other("stability", "", entry["stability"], measured=word, n=len(runs), verdict=verdict)


def _other(metric, unit, published, **about):
    return {"metric": metric, "unit": unit, "published": str(published)} | dict.fromkeys(("sd", "low", "high")) | about


def _rounds_to(value, printed):
    """Whether a number is printed so, rounded or cut off: papers do both."""
    digits = len(printed.partition(".")[2])
    return printed in (f"{value:.{digits}f}", f"{math.floor(value * 10**digits) / 10**digits:.{digits}f}")


def notes(study):
    """Sentences that a study adds to the paper's numbers, each after the rows that it is about."""
    rows = {}
    for entry in study["published"]:
        if entry.get("note"):
            rows.setdefault(str(entry["note"]), []).append(entry["row"])
    return [f"{', '.join(dict.fromkeys(names))}: {note}" for note, names in rows.items()]


def audit(study):
    """Sentences on printed accuracies that no count of the stated images gives."""
    sentences = []
    for entry in study["published"]:
        for metric in ("test_accuracy", "val_accuracy"):
            printed = str(entry.get(metric) or "")
            if _is_number(printed) and printed[0] not in "<>" and not attainable(printed, study["images"]):
                sentences.append(f"{entry['row']}: {metric} {printed} % is not a share of {study['images']:,} images.")
    return sentences
