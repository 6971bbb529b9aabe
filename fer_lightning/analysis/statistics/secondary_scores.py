"""The other scores under the same analysis of variance, as a family of their own."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.paired_tests import holm
from fer_lightning.analysis.wording import listed, p_value
from fer_lightning.runs import scores


def secondary_finding(design):
    """A Finding with the p value of each effect on each score that is tested beside the outcome; None if none has two complete seeds.

    Effects: both axes and their interaction if two are crossed and every cell has a run, else the cells as one factor. Cells without any
    run are left out; so is, with its name, a score that a cell with runs has not, because all of them diverged.
    """
    empty = np.isnan(design.table(design.outcome)).all(0)
    crossed = design.crossed and not empty.any()
    effects = dict(zip(("a", "b", "ab"), (*design.levels, "interaction"))) if crossed else {"a": "cells"}
    shape = [len(levels) for levels in design.levels.values()] if crossed else [-1, 1]
    rows, lacking = {}, []
    for score in filter(lambda score: score.tested, scores.SCORES):
        table = design.table(f"{design.part}_{score.name}")[:, ~empty]
        if np.isnan(table).all(0).any() and not np.isnan(table).all():
            lacking.append(score.title)
        y = table[~np.isnan(table).any(1)]
        if len(y) > 1 and y.shape[1] > 1:
            rows[score.title] = two_way(y.reshape(len(y), *shape)).p
    if not rows:
        return None
    p = pd.DataFrame(rows).T[list(effects)].astype(float)
    columns = {}
    for source, effect in effects.items():
        columns[f"{effect}, p"] = p[source].map(p_value)
        columns[f"{effect}, p (Holm)"] = pd.Series(holm(p[source]), p.index).map(p_value)
    text = ["Analysis of variance as for the primary outcome, on the seeds that have every cell; Holm-adjusted over the scores."]
    if lacking:
        text.append(f"Not tested, because in some cell no run has a finite value: {listed(lacking)}.")
    return Finding("Secondary outcomes", tuple(text), pd.DataFrame(columns).rename_axis("score").reset_index())
