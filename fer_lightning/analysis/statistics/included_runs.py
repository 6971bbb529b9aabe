"""Which runs the statistics use, and what happened to the others: no run is dropped silently."""

import numpy as np

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.job_table import protocols
from fer_lightning.analysis.wording import listed, seeds_text


def runs_finding(design, registered, answers, never=()):
    """The Finding that names every run, cell and seed that is missing or special.

    registered: the outcome that the study registered; answers: of `read_answers`; never: the planned jobs that have no record
    """
    done, jobs = design.done, design.jobs
    table = design.table(design.outcome)
    empty = np.isnan(table).all(0)
    sentences = [
        f"{len(done)} of {len(jobs)} runs are done: {int((~empty).sum())} of {len(design.cells)} cells, {seeds_text(len(design.blocks))}. "
        f"Outcome: {design.outcome}."
    ]
    for status, names in jobs[jobs["status"] != "done"].groupby("status")["name"]:
        sentences.append(f"{str(status).capitalize()}: {listed(names)}.")
    if never:
        sentences.append(f"Planned, but without a record: {listed(never)}.")
    if design.outcome != registered:
        sentences.append(
            f"No run has a {registered}, the registered outcome; the validation accuracy is used. Each run chose its epoch by it, so it is "
            "too high."
        )
    unscored = done[np.isnan(table[done["block"], done["cell"]])]
    if len(unscored):
        sentences.append(f"Done but without a {design.outcome}, so not in the tests: {listed(unscored['name'])}.")
    if empty.any():
        sentences.append(f"Cells without a score: {listed(design.name(cell) for cell, none in zip(design.cells, empty) if none)}.")
    sentences += _incomplete(design, table[:, ~empty])
    if "stability_div" in done and (diverged := done["stability_div"].isin([True])).any():
        sentences.append(f"Diverged, and in the tests with the scores they have: {listed(done['name'][diverged])}.")
    if design.repeated:
        sentences.append(f"Left out because another run has the same cell and seed: {listed(design.repeated)}.")
    sentences += _shared_data(design)
    if len(design.levels) > 1 and not design.crossed:
        sentences.append(f"{len(design.levels)} axes vary and do not form a two-way grid: the cells are compared as one factor.")
    if answers.apart:
        sentences.append(f"Intervals and tests are over seeds, each with images of its own: {answers.why}.")
    elif answers.why:
        sentences.append(f"Intervals and tests hold for other seeds on the same images only: {answers.why}.")
    sentences += _equal_predictions(design, answers.equal)
    return Finding("Runs", tuple(sentences))


def _incomplete(design, table):
    """Sentences on seeds that lack a run of some cell."""
    lacking = np.isnan(table).any(1)
    if not lacking.any() or len(design.blocks) < 2:
        return []
    names = listed(block for block, lacks in zip(design.blocks, lacking) if lacks)
    return [
        f"Incomplete, without a score in some cell: {names}. Analyses of variance and ranks leave these seeds out; means, paired "
        "comparisons and the mixed model use the runs they have."
    ]


def _equal_predictions(design, groups):
    """Warnings on runs whose predictions are equal to the last bit: what they differ in never reached the network."""
    sentences, cell_of = [], design.done.set_index("name")["cell"]
    for names in groups:
        what = "cells" if cell_of[list(names)].nunique() > 1 else "seeds"
        sentences.append(
            f"Warning: the predictions of {listed(names)} are equal to the last bit, although they are different {what}. Look whether what "
            "they differ in reaches the network."
        )
    return sentences


def _shared_data(design):
    """Sentences on runs that do not have the same data."""
    sentences = []
    if design.blocking:
        sentences.append(
            f"Each combination of seed and {listed(design.blocking)} counts as a seed. Their training images overlap, so they are less "
            "independent than seeds, and intervals are too short (Nadeau & Bengio 2003)."
        )
    measured = protocols(design.done)
    if len(measured) > 1:
        sentences.append(f"The runs follow several protocols ({listed(measured)}): they were scored on different images.")
    return sentences
