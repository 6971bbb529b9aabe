"""How the cut-offs of a single run's stability label (`fer_lightning.stability.run_label`) lie among the runs measured here."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.stability_of_cells import measured_runs
from fer_lightning.stability.run_label import CUT_OFFS, TITLES

# Of these every run has a rate that was chosen for its cell, or the default recipe.
USUAL = ("frozen_head_grid", "compact_head_grid")
# Of these each optimizer has several rates: those above its best are too large for it.
RATES = ("compact_optimizers",)


def split_runs(studies):
    """(runs with a usual rate, runs with one above the best of their optimizer), frames of `MeasuredRuns`. studies: {name: StudyRecord}"""
    usual = [measured_runs(studies[name].jobs, {}).runs for name in USUAL if name in studies]
    above = []
    for name in RATES:
        if name in studies:
            study = studies[name]
            rates = study.done["optimizer.lr"].astype(float)
            means = study.done.groupby(["optimizer", rates])["val_accuracy"].mean()
            best = study.done["optimizer"].map(means.groupby(level=0).idxmax().str[1])
            runs = measured_runs(study.jobs, {}).runs
            usual.append(runs[(rates == best).reindex(runs.index)])
            above.append(runs[(rates > best).reindex(runs.index)])
    return pd.concat(usual), pd.concat(above) if above else pd.DataFrame(columns=usual[0].columns)


def runs_of(studies):
    """The measured runs of some studies, a frame of `MeasuredRuns`."""
    return pd.concat([measured_runs(study.jobs, {}).runs for study in studies]) if studies else pd.DataFrame()


def cut_off_table(groups):
    """A row a measure: quantiles of each group of runs, and how many of them exceed the cut-off of Low. groups: {title: frame}"""
    rows = []
    for name, (high, low) in CUT_OFFS.items():
        row = {"measure": TITLES[name], "High up to": f"{high:g}", "Low above": f"{low:g}"}
        for title, runs in groups.items():
            values = runs[name].dropna().to_numpy(float) if len(runs) else ()
            if len(values):
                quantiles = ", ".join(f"{q:.2f}" for q in np.quantile(values, (0.5, 0.9, 0.99)))
                row[f"{title}: median, 90 %, 99 %"] = f"{quantiles} ({len(values)})"
                row[f"{title}: above Low's"] = f"{100 * (values > low).mean():.0f} %"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")
