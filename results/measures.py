"""Which measure of stability predicts anything: rank correlations over the runs of several studies."""

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.stability_of_cells import measured_runs, stability_table
from fer_lightning.analysis.statistics.paired_tests import holm
from fer_lightning.config.registered_analysis import registered
from fer_lightning.stability.measures import MEASURES
from fer_lightning.stability.run_label import TITLES

OUTCOMES = {"test_accuracy": "test accuracy", "ssd": "seed SD", "churn": "churn"}
FEWEST_CELLS, FEWEST_RUNS = 5, 20

# The measures in words, as docs/stability.md defines them.
NAMES = TITLES | {"clip": "clipped steps", "gtrend": "trend of the gradient norm", "dormant": "dormant units"}
NAMES |= {"gap": "training less validation accuracy", "drift": "final less smallest validation loss"}


def correlations(studies):
    """A row a pair of a measure and what it may predict: measure, predicted, n, rho, p, p_holm (over all pairs); Spearman's.

    Between cells: means over the seeds of each cell. Within cells: of single runs, each less the mean of its cell. Values are ranked within
    their study, so that no study counts for being better than another.
    """
    measured = [measured_runs(study.jobs, registered(study.ledger["study"]).reference) for study in studies]
    tables = [stability_table(study.folder, runs) for study, runs in zip(studies, measured, strict=True)]
    return between_and_within([one.runs[~one.runs["diverged"]] for one in measured], tables)


def between_and_within(runs, cells):
    """`correlations` of studies: of each the runs (`MeasuredRuns`) that did not diverge, and the table of its cells (`stability_table`)."""
    cells = pd.concat([_ranked(table) for table in cells])
    within = pd.concat([_ranked(_less_cell_mean(one)) for one in runs])
    pairs = []
    for name in MEASURES[1:]:
        pairs += [_pair(name, f"{title}, between cells", cells[name], cells[column], FEWEST_CELLS) for column, title in OUTCOMES.items()]
        pairs.append(_pair(name, "test accuracy, within cells", within[name], within["test_accuracy"], FEWEST_RUNS))
    table = pd.DataFrame([pair for pair in pairs if pair])
    return table.assign(p_holm=holm(table["p"])) if len(table) else table


def _numbers(frame):
    return frame[[*MEASURES[1:], *(column for column in OUTCOMES if column in frame)]].astype(float)


def _less_cell_mean(runs):
    values = _numbers(runs)
    return values - values.groupby(runs["cell"]).transform("mean")


def _ranked(frame):
    """The values as shares of ranks, 0 to 1; what differs by rounding alone is equal."""
    return _numbers(frame).round(12).rank(pct=True)


def _pair(name, predicted, measure, outcome, fewest):
    known = np.isfinite(measure) & np.isfinite(outcome)
    x, y = measure[known], outcome[known]
    if len(x) < fewest or x.nunique() < 3 or y.nunique() < 3:
        return None
    rho, p = scipy.stats.spearmanr(x, y)
    return {"measure": name, "predicted": predicted, "n": len(x), "rho": float(rho), "p": float(p)}
