"""The learning curves of all runs, small enough for a page."""

from math import isfinite

# Numbers on the page: 8 MB of text. A study of 1,000 runs with 17 scores over 50 epochs has 850,000.
MOST_NUMBERS = 1_200_000

FIRST = ("val/accuracy", "val/loss", "train/loss", "train/accuracy")


def curves_payload(study, curves):
    """All runs' curves as plain containers: {scores: [name], cells: [label, the best first], step, runs: [...]}.

    A run is {name, cell: its index in cells, epochs: [1, ...], scores: {name: [...]}}, with phases: {name: between which epochs it begins}
    if it has several. If there are too many numbers, only every step-th epoch is kept, counted from the last.
    """
    scores = dict.fromkeys(column for curve in curves.values() for column in curve if column not in ("epoch", "step"))
    scores = sorted(scores, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    step = 1 + sum(len(curve) for curve in curves.values()) * len(scores) // MOST_NUMBERS
    cells = list(dict.fromkeys([*study.cells.index, *study.labels]))
    place = {label: number for number, label in enumerate(cells)}
    runs = []
    for name, label in zip(study.jobs["name"], study.labels):
        if name not in curves:
            continue
        curve = curves[name]
        kept = curve[(len(curve) - 1) % step :: step]
        values = {score: [float(f"{value:.4g}") if isfinite(value) else None for value in kept[score]] for score in scores if score in kept}
        runs.append({"name": name, "cell": place[label], "epochs": (kept["epoch"] + 1).astype(int).tolist(), "scores": values})
        phases = {phase: start + 0.5 for phase, start in (study.results[name].get("phases") or {}).items() if start}
        runs[-1] |= {"phases": phases} if phases else {}
    return {"scores": scores, "cells": cells, "step": step, "runs": runs}
