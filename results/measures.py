"""Which measure of stability predicts anything: rank correlations over the runs of one study."""

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.stability_of_cells import measured_runs, stability_table
from fer_lightning.analysis.statistics.paired_tests import holm
from fer_lightning.config.registered_analysis import registered
from fer_lightning.stability.measures import MEASURES

OUTCOMES = {"test_accuracy": "test accuracy", "ssd": "seed SD", "churn": "churn"}
FEWEST_CELLS, FEWEST_RUNS = 5, 20


def correlations(study):
    """A row a pair of a measure and what it may predict: measure, predicted, n, rho, p, p_holm (over all pairs); Spearman's.

    Between cells: means over the seeds of each cell. Within cells: of single runs, each less the mean of its cell.
    """
    measured = measured_runs(study.jobs, registered(study.ledger["study"]).reference)
    return between_and_within(measured.runs[~measured.runs["diverged"]], stability_table(study.folder, measured))


def between_and_within(runs, cells):
    """`correlations` of the runs (see `MeasuredRuns`) that did not diverge and of the table of their cells (see `stability_table`)."""
    within = runs.groupby("cell").transform(lambda values: values - values.mean() if values.dtype == float else values)
    pairs = []
    for name in MEASURES[1:]:
        pairs += [_pair(name, f"{title}, between cells", cells[name], cells[column], FEWEST_CELLS) for column, title in OUTCOMES.items()]
        pairs.append(_pair(name, "test accuracy, within cells", within[name], within["test_accuracy"], FEWEST_RUNS))
    table = pd.DataFrame([pair for pair in pairs if pair])
    return table.assign(p_holm=holm(table["p"])) if len(table) else table


def _pair(name, predicted, measure, outcome, fewest):
    known = np.isfinite(measure.astype(float)) & np.isfinite(outcome.astype(float))
    x, y = measure[known].round(12), outcome[known].round(12)
    if len(x) < fewest or x.nunique() < 3 or y.nunique() < 3:
        return None
    rho, p = scipy.stats.spearmanr(x, y)
    return {"measure": name, "predicted": predicted, "n": len(x), "rho": float(rho), "p": float(p)}
