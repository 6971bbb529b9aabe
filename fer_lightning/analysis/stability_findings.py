"""What a report says of stability: the table of the cells, what its columns and labels mean, and what the labels depend on."""

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.stability_labels import HIGH_BELOW, LOW_ABOVE, MOST_DIVERGED, MOST_SD_RATIO, label_cells
from fer_lightning.analysis.stability_of_cells import measured_runs, stability_table
from fer_lightning.analysis.wording import equals, listed, number, percent, percent_interval
from fer_lightning.config.registered_analysis import registered
from fer_lightning.stability.run_label import CUT_OFFS, TITLES

COMPARED = 5  # cells that a rank correlation needs

COLUMNS = (
    "All measures are means over the runs that did not diverge. Spikes: sudden jumps of the loss or the gradient norm. Oscillation: "
    "zig-zag of the validation loss, 0 for a curve that falls and then rises, 1 for as much zig-zag as fall and rise. Jitter: how much "
    "the validation accuracy varies at the end of the run. Gradient volatility: how much the log of the gradient norm varies from step to "
    "step. Inactive units: in the worst layer, the share of units that pass almost no gradient on.",
    "Gap: training minus validation accuracy at the best epoch. Drift: how much the validation loss rises after its minimum. Seed SD: "
    "standard deviation of the test accuracy over seeds. Churn: share of the test images on which two seeds disagree. Gap, drift and churn "
    "are not part of the label.",
)


def stability_findings(folder, jobs, study):
    """The Findings on the stability of a study; none if no run recorded it.

    jobs: frame of `make_jobs`; study: the study node of study.json, whose analysis.reference names the reference cell
    """
    measured = measured_runs(jobs, registered(study).reference)
    if not len(measured.runs):
        return []
    table = stability_table(folder, measured)
    found = [Finding("Stability of training", (*_rule(measured), *COLUMNS), _shown(table))]
    if measured.reference is not None:
        found.append(_sensitivity(table, measured))
    return found


def _rule(measured):
    """Sentences on how the labels are made."""
    if measured.reference is None:
        rule = "Each run gets a label by fixed cut-offs, and each cell the label that most of its runs have."
        return (f"The labels are provisional: {measured.why_not}. {rule}",)
    runs = measured.runs[measured.reference]
    cell = measured.design.name(measured.design.cells[runs["cell"].iloc[0]])
    return (
        f"S says how much less stable a cell is than the reference cell ({cell}, {len(runs)} runs). The {listed(TITLES.values())} of each "
        "run become z scores: how many robust standard deviations they are worse than in the reference. S is the mean over seeds of each "
        "run's three worst z scores, with a 90 % bootstrap interval over the seeds.",
        f"Low: the interval is above {LOW_ABOVE}, or more than {percent(MOST_DIVERGED, 0)} % of the runs diverged, or the seed SD is more "
        f"than {MOST_SD_RATIO} times that of the reference (F test, p < 0.05). High: the interval is below {HIGH_BELOW} and no run "
        f"diverged. Moderate: the interval is between {HIGH_BELOW} and {LOW_ABOVE}. Undetermined: the interval contains a cut-off, so more "
        "seeds are needed.",
    )


def _shown(table):
    """The table as a reader sees it. Columns on the spread between seeds are left out if no cell has two."""
    rows = []
    for row in table.itertuples(index=False):
        shown = {"cell": row.cell}
        if np.isnan(row.agree):
            interval = "" if np.isnan(row.low) else f"{row.low:.2f} to {row.high:.2f}"
            shown |= {"label": row.label, "why": row.why, "S": number(row.score), "90 % interval of S": interval}
        else:
            shown |= {"label": f"{row.label} (provisional, {row.agree:.0f} of {row.n})", "why": row.why}
        shown |= {"seeds": str(row.n), "spikes per 1,000 steps": number(row.spk), "oscillation": number(row.osc)}
        shown |= {"jitter, points": number(row.jit), "gradient volatility": number(row.gnv), "inactive units %": percent(row.dead)}
        shown |= {"gap, points": number(row.gap), "drift": number(row.drift, 3)}
        if table["ssd"].notna().any():
            shown |= {"seed SD, points": percent(row.ssd), "95 % interval of SD": percent_interval(row.ssd_low, row.ssd_high)}
            shown |= {"churn %": percent(row.churn)}
        shown |= {"diverged %": percent(row.failrate), "95 % interval of diverged": percent_interval(row.failrate_low, row.failrate_high)}
        rows.append(shown)
    return pd.DataFrame(rows)


def _sensitivity(table, measured):
    """The Finding on whether labels depend on a single measure, and whether S predicts anything else that varies between cells."""
    without = {f"without {TITLES[name]}": label_cells(measured.runs, measured.reference, name)["label"].to_numpy() for name in CUT_OFFS}
    shown = pd.DataFrame({"cell": table["cell"], "label": table["label"]} | without)
    changed = [cell for cell, *labels in shown.itertuples(index=False) if len(set(labels)) > 1]
    when = "when one measure is left out."
    text = (f"The label of {listed(changed)} changes {when}" if changed else f"No label changes {when}", *_predicted(table))
    return Finding("What the stability labels depend on", text, shown)


def _predicted(table):
    """Sentences on the rank correlation of S with what else varies between cells."""
    sentences, predicted = [], False
    for name, column in (("the seed SD", "ssd"), ("churn", "churn"), ("the test accuracy", "test_accuracy")):
        known = table[["score", column]].dropna()
        if len(known) >= COMPARED and (known.nunique() > 1).all():
            rho, p = scipy.stats.spearmanr(known["score"], known[column])
            sentences.append(f"{name} {rho:.2f} over {len(known)} cells (p {equals(p)})")
            predicted |= p < 0.05
    if not sentences:
        return [f"Fewer than {COMPARED} cells can be compared, so it is not known whether S predicts seed SD, churn or accuracy."]
    doubt = [] if predicted else ["S predicts none of them: in this study the label says nothing beyond the measures it is made from."]
    return [f"Spearman's rank correlation of S with {listed(sentences)}.", *doubt]
