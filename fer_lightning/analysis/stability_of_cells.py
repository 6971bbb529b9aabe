"""How stable the trainings of each cell were: its measures over seeds, how far seeds lie apart, its label and what that label is worth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.stability_labels import BAD, FAILURES, GOOD, SEEDS, SPREAD, label_cells, provisional_labels
from fer_lightning.analysis.statistics.layout import Design, layout
from fer_lightning.analysis.wording import equals, listed, number, percent, percent_interval
from fer_lightning.config.cell_names import level_text
from fer_lightning.data.faces import CLASSES
from fer_lightning.runs.predictions import part_of, probabilities, read_predictions
from fer_lightning.stability.measures import CUTS, MEASURES

COMPARED = 5  # cells that a rank correlation needs


@dataclass(frozen=True)
class _Watched:
    """runs: the finished ones that recorded their stability, with cell, diverged, label and the measures as numbers
    reference: mask of those of the reference cell; None where it cannot serve, why_not saying why
    """

    design: Design
    runs: pd.DataFrame
    reference: pd.Series | None
    why_not: str = ""


def stability_table(folder, jobs, reference=None):
    """A row a cell with finished runs, for tables and plots.

    jobs: frame of `read_jobs`; reference: {axis: level} of the reference cell

    Columns: the varying axes, cell (its name), n; the mean of each measure over the runs that did not diverge (jit, gap in points; dead,
    dormant, clip as fractions); ssd, ssd_low, ssd_high: standard deviation of the test accuracy over seeds and its 95 % interval; churn:
    share of the test pictures on which two seeds disagree; failrate, failrate_low, failrate_high (all fractions); test_accuracy; score,
    low, high: S and its 90 % interval, NaN where there is no reference; label, and agree: how many runs have it as theirs, NaN where the
    rule labels the cell as a whole.
    """
    return _table(folder, _watched(jobs, reference))


def stability_findings(folder, jobs, study):
    """The Findings on stability of a study; none where no run recorded it.

    jobs: frame of `read_jobs`; study: the study node of study.json, whose analysis.reference names the reference cell
    """
    watched = _watched(jobs, (study.get("analysis") or {}).get("reference"))
    if not len(watched.runs):
        return []
    table = _table(folder, watched)
    found = [Finding("Stability of training", _explained(watched), _shown(table))]
    if watched.reference is not None:
        found.append(_worth(table, watched))
    return found


def spread(values, level=0.95):
    """(SD, low, high) over seeds, the interval from chi squared. NaN for fewer than two values."""
    from scipy import stats

    if len(values) < 2:
        return np.nan, np.nan, np.nan
    sd, df = np.std(values, ddof=1), len(values) - 1
    tail = (1 - level) / 2
    return sd, sd * np.sqrt(df / stats.chi2.isf(tail, df)), sd * np.sqrt(df / stats.chi2.ppf(tail, df))


def share(count, n, level=0.95):
    """(share, low, high) of count among n, the interval Wilson's."""
    from scipy import stats

    interval = stats.binomtest(count, n).proportion_ci(level, method="wilson")
    return count / n, interval.low, interval.high


def churn(folder, names):
    """Mean share of the test pictures on which two runs disagree, over all pairs of runs and the pictures that both have.

    names: of the run folders. NaN where no two of them with readable predictions share a picture.
    """
    votes = np.zeros((0, len(CLASSES)), np.int64)  # how many runs give a picture (its row in the data) a class
    for name in names:
        try:
            test = part_of(read_predictions(Path(folder) / name), "test")
        except (OSError, ValueError):
            continue
        rows, answers = test.index.to_numpy(), probabilities(test)[:, : len(CLASSES)].argmax(1)
        if len(rows) and rows.max() >= len(votes):
            votes = np.pad(votes, ((0, rows.max() + 1 - len(votes)), (0, 0)))
        votes[rows, answers] += 1
    runs = votes.sum(1)
    pairs = (runs * (runs - 1)).sum()
    return float(1 - (votes * (votes - 1)).sum() / pairs) if pairs else np.nan


def _watched(jobs, reference):
    design = layout(jobs, "test_accuracy")
    done = design.done[design.done["stability_label"].notna()]
    numbers = {name: pd.to_numeric(done[f"stability_{name}"], errors="coerce") for name in MEASURES if name != "div"}
    accuracy = pd.to_numeric(done["test_accuracy"], errors="coerce")
    diverged = done["stability_div"].eq(True)  # None where it is not known
    runs = done[["name", "cell"]].assign(**numbers, test_accuracy=accuracy, diverged=diverged, label=done["stability_label"])
    if not reference:
        return _Watched(design, runs, None, "no reference cell is registered (study.analysis.reference)")
    named = ", ".join(f"{axis}={level}" for axis, level in reference.items())
    left_open = [axis for axis in design.levels if axis not in reference]
    if left_open:
        return _Watched(design, runs, None, f"the registered reference cell ({named}) says nothing of {listed(left_open)}")
    mask = pd.Series(True, runs.index)
    for axis, level in reference.items():
        if axis in done:  # of what is not swept, the jobs do not say what it is
            mask &= done[axis].map(level_text) == level_text(level)
    complete = int((mask & ~runs["diverged"] & runs[list(CUTS)].notna().all(axis=1)).sum())
    if complete < SEEDS:
        return _Watched(design, runs, None, f"the reference cell ({named}) has {complete} sound runs of the {SEEDS} that it needs")
    return _Watched(design, runs, mask)


def _table(folder, watched):
    design, runs = watched.design, watched.runs
    rows = []
    for cell, group in runs.groupby("cell"):
        sound = group[~group["diverged"]]
        ssd, ssd_low, ssd_high = spread(group["test_accuracy"].dropna().to_numpy())
        failrate, failrate_low, failrate_high = share(int(group["diverged"].sum()), len(group))
        rows.append(
            dict(zip(design.levels, design.cells[cell]))
            | {"cell": design.name(design.cells[cell]), "n": len(group)}
            | {name: sound[name].mean() for name in MEASURES if name != "div"}
            | {"ssd": ssd, "ssd_low": ssd_low, "ssd_high": ssd_high, "churn": churn(folder, group["name"])}
            | {"failrate": failrate, "failrate_low": failrate_low, "failrate_high": failrate_high}
            | {"test_accuracy": group["test_accuracy"].mean()}
        )
    labels = provisional_labels(runs) if watched.reference is None else label_cells(runs, watched.reference)
    return pd.concat([pd.DataFrame(rows), labels.reset_index(drop=True)], axis=1)


def _explained(watched):
    last = "Measures are means over the runs that did not diverge; gap and drift are not scored."
    if watched.reference is None:
        rule = "Each run is labelled by fixed cut-offs, and a cell by what most of its runs say."
        return f"The labels are provisional: {watched.why_not}. {rule}", last
    runs = watched.runs[watched.reference]
    cell = watched.design.name(watched.design.cells[runs["cell"].iloc[0]])
    return (
        f"S is the mean over seeds of each run's three worst z scores of {listed(CUTS)}, against {len(runs)} runs of the reference cell "
        f"({cell}); its interval of 90 % is bootstrapped over the seeds.",
        f"Low: the interval lies above {BAD}, or more than {FAILURES:.0%} of the runs diverged, or the seed SD is more than {SPREAD} times "
        f"the reference's (F test, p < 0.05). High: the interval lies below {GOOD} and no run diverged. Moderate: it lies between. "
        "Undetermined: it straddles a cut-off, so add seeds.",
        last,
    )


def _shown(table):
    """The table as a reader sees it. Columns that say how far seeds lie apart are left out where no cell has two."""
    rows = []
    for row in table.itertuples(index=False):
        shown = {"cell": row.cell, "seeds": str(row.n)}
        if np.isnan(row.agree):
            interval = "" if np.isnan(row.low) else f"{row.low:.2f} to {row.high:.2f}"
            shown |= {"label": row.label, "S": number(row.score), "90 % interval of S": interval}
        else:
            shown |= {"label": f"{row.label} (provisional, {row.agree:.0f} of {row.n})"}
        shown |= {"spikes per 1,000 steps": number(row.spk), "oscillation": number(row.osc), "jitter, points": number(row.jit)}
        shown |= {"gradient volatility": number(row.gnv), "inactive units %": percent(row.dead)}
        shown |= {"gap, points": number(row.gap), "drift": number(row.drift, 3)}
        if table["ssd"].notna().any():
            shown |= {"seed SD, points": percent(row.ssd), "95 % interval of SD": percent_interval(row.ssd_low, row.ssd_high)}
            shown |= {"churn %": percent(row.churn)}
        shown |= {"diverged %": percent(row.failrate), "95 % interval of diverged": percent_interval(row.failrate_low, row.failrate_high)}
        rows.append(shown)
    return pd.DataFrame(rows)


def _worth(table, watched):
    """The Finding on whether labels hang on one measure, and whether S says anything of what else varies."""
    from scipy import stats

    without = {f"without {name}": label_cells(watched.runs, watched.reference, name)["label"].to_numpy() for name in CUTS}
    shown = pd.DataFrame({"cell": table["cell"], "label": table["label"]} | without)
    changed = [cell for cell, *labels in shown.itertuples(index=False) if len(set(labels)) > 1]
    when = "when one measure is left out."
    text = [f"The label of {listed(changed)} changes {when}" if changed else f"No label changes {when}"]
    sentences, predicted = [], False
    for name, column in (("the seed SD", "ssd"), ("churn", "churn"), ("the test accuracy", "test_accuracy")):
        known = table[["score", column]].dropna()
        if len(known) >= COMPARED and (known.nunique() > 1).all():
            rho, p = stats.spearmanr(known["score"], known[column])
            sentences.append(f"{name} {rho:.2f} over {len(known)} cells (p {equals(p)})")
            predicted |= p < 0.05
    if sentences:
        text.append(f"Spearman's rank correlation of S with {listed(sentences)}.")
        if not predicted:
            text.append("S predicts none of them: here the label says nothing beyond what it is made of.")
    else:
        text.append(f"Fewer than {COMPARED} cells can be compared, so whether S predicts seed SD, churn or accuracy cannot be told.")
    return Finding("What the stability labels rest on", tuple(text), shown)
