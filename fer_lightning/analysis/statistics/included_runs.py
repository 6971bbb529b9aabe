"""Which runs the statistics rest on, and what became of the others: nothing is dropped silently."""

import numpy as np

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.wording import listed


def runs_finding(design, registered, pictures_missing):
    """A Finding that names every run, cell and seed that is not as the design has it.

    registered: the outcome that the study registered; pictures_missing: why pictures are not resampled, "" where they are.
    """
    done, jobs = design.done, design.jobs
    table = design.table(design.outcome)
    empty = np.isnan(table).all(0)
    sentences = [
        f"{len(done)} of {len(jobs)} runs are done: {int((~empty).sum())} of {len(design.cells)} cells, "
        f"{len(design.blocks)} {'seed' if len(design.blocks) == 1 else 'seeds'}. Outcome: {design.outcome}."
    ]
    for status, names in jobs[jobs["status"] != "done"].groupby("status")["name"]:
        sentences.append(f"{str(status).capitalize()}: {listed(names)}.")
    if design.outcome != registered:
        sentences.append(f"No run has a {registered}, the registered outcome; validation stands in, on which each run chose its epoch.")
    unscored = done[np.isnan(table[done["block"], done["cell"]])]
    if len(unscored):
        sentences.append(f"Done without a {design.outcome}, and so not in the tests: {listed(unscored['name'])}.")
    if empty.any():
        sentences.append(f"Cells without a score: {listed(design.name(cell) for cell, none in zip(design.cells, empty) if none)}.")
    sentences += _incomplete(design, table[:, ~empty])
    if "stability_div" in done and (diverged := done["stability_div"].isin([True])).any():
        sentences.append(f"Diverged, and in the tests as they were trained: {listed(done['name'][diverged])}.")
    if design.repeated:
        sentences.append(f"Left out, because another run has the same cell and seed: {listed(design.repeated)}.")
    if design.blocking:
        sentences.append(
            f"Each combination of seed and {listed(design.blocking)} counts as a seed. Their training pictures overlap, so they are less "
            "independent than seeds, and intervals are too short (Nadeau & Bengio 2003)."
        )
    protocols = sorted(done["protocol"].dropna().astype(str).unique())
    if len(protocols) > 1:
        sentences.append(f"The runs follow several protocols ({listed(protocols)}): their scores are not of the same pictures.")
    if len(design.levels) > 1 and not design.crossed:
        sentences.append(f"{len(design.levels)} axes vary and do not make a two-way grid: the cells are compared as one factor.")
    if pictures_missing:
        sentences.append(f"Intervals hold for other seeds on these pictures only: {pictures_missing}.")
    return Finding("Runs", tuple(sentences))


def _incomplete(design, table):
    """Sentences on seeds that lack a run of some cell."""
    lacking = np.isnan(table).any(1)
    if not lacking.any() or len(design.blocks) < 2:
        return []
    names = listed(block for block, lacks in zip(design.blocks, lacking) if lacks)
    return [
        f"Incomplete, some cell having no score: {names}. Analyses of variance and ranks leave these seeds out; means, contrasts and the "
        "mixed model use what they have."
    ]
