"""The other scores under the same analysis of variance, as a family of their own."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.paired_tests import holm
from fer_lightning.analysis.wording import p_value

SECONDARY = {"macro_f1": "macro F1", "loss": "loss", "ece": "calibration error", "brier": "Brier score"}


def secondary_finding(design):
    """A Finding of the p values of each effect on each secondary score; None where no score has two seeds with every cell.

    Effects: of two crossed axes both and their interaction, else the cells as one factor. Cells without any run are left out.
    """
    crossed = design.crossed and not np.isnan(design.table(design.outcome)).all(0).any()
    effects = dict(zip(("a", "b", "ab"), (*design.levels, "interaction"))) if crossed else {"a": "cells"}
    shape = [len(levels) for levels in design.levels.values()] if crossed else [-1, 1]
    rows = {}
    for score, name in SECONDARY.items():
        table = design.table(f"{design.part}_{score}")
        table = table[:, ~np.isnan(table).all(0)]
        y = table[~np.isnan(table).any(1)]
        if len(y) > 1 and y.shape[1] > 1:
            rows[name] = two_way(y.reshape(len(y), *shape)).p
    if not rows:
        return None
    p = pd.DataFrame(rows).T[list(effects)].astype(float)
    columns = {}
    for source, effect in effects.items():
        columns[f"{effect}, p"] = p[source].map(p_value)
        columns[f"{effect}, p (Holm)"] = pd.Series(holm(p[source]), p.index).map(p_value)
    text = "Analysis of variance as for the primary outcome, on the seeds that have every cell; Holm-adjusted over the scores."
    return Finding("Secondary outcomes", (text,), pd.DataFrame(columns).rename_axis("score").reset_index())
