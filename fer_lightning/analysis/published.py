"""What a paper printed against what was measured, and an audit of the printed numbers themselves."""

import math

import pandas as pd
from scipy import stats

from fer_lightning.analysis.job_table import level_text
from fer_lightning.analysis.statistics.descriptive import classical_interval

METRICS = ("test_accuracy", "val_accuracy", "train_accuracy", "macro_f1", "weighted_f1")

# Where a result of ours is kept under another name than the paper's number.
MEASURED = {"macro_f1": "test_macro_f1", "weighted_f1": "test_weighted_f1"}


def attainable(printed, images):
    """Whether some count of `images` rounds to a printed percentage such as "68.78" (checklist A.5). images None: not known, True."""
    if images is None:
        return True
    decimals = len(printed.partition(".")[2])
    count = float(printed) / 100 * images
    return any(f"{100 * k / images:.{decimals}f}" == printed for k in (math.floor(count), math.ceil(count)))


def compare(jobs, study):
    """One row for every number of the paper that was measured too.

    jobs: frame of `read_jobs`; study: the study node of study.json. Columns: the cell's keys, row, metric, published, measured, sd, n,
    low, high (fractions), verdict: inside | above | below (the measured interval lies above or below the paper) | not comparable: why.
    """
    rows = []
    done = jobs[jobs["status"] == "done"]
    for entry in study["published"]:
        runs = done
        for key, value in entry["cell"].items():
            runs = runs[runs[key].map(level_text) == level_text(value)] if key in runs else runs[:0]
        for metric in METRICS:
            column = _column(metric, runs)
            if not entry.get(metric) or column not in runs or not runs[column].notna().any():
                continue
            values = [float(v) for v in runs[column].dropna()]
            paper = float(entry[metric]) / (1 if metric.endswith("f1") and float(entry[metric]) <= 1 else 100)
            # An F1 is no share of the images, so one seed gives it no interval.
            images = int(runs["test_n"].iloc[0]) if metric == "test_accuracy" and runs["test_n"].notna().all() else None
            bounds = classical_interval(values, images)
            rows.append(
                entry["cell"]
                | {"row": entry["row"], "metric": metric, "published": entry[metric]}
                | {"measured": sum(values) / len(values), "sd": stats.tstd(values) if len(values) > 1 else None, "n": len(values)}
                | {"low": bounds and bounds[0], "high": bounds and bounds[1]}
                | {"verdict": _verdict(paper, bounds, runs, study)}
            )
    return pd.DataFrame(rows)


def _column(metric, runs):
    """Where runs keep what the paper calls `metric`: if they were asked for several views, as the paper's were, the score from these."""
    views = [c for c in runs if c.startswith(f"{metric}_") and "_clean" not in c and runs[c].notna().any()]
    return views[0] if views else MEASURED.get(metric, metric)


def _verdict(paper, bounds, runs, study):
    verdicts, protocols = set(runs["verdict"].dropna()), set(runs["protocol"].dropna())
    if not verdicts <= {"official", "official-lossy"}:
        return f"not comparable: {', '.join(sorted(verdicts))} data"
    if protocols != {study["protocol"]}:
        return f"not comparable: measured under {', '.join(sorted(protocols))}, published under {study['protocol']}"
    if bounds is None:
        return "not comparable: one seed, no interval"
    low, high = bounds
    return "above" if low > paper else "below" if high < paper else "inside"


def audit(study):
    """Sentences on printed accuracies that no count of the stated images gives."""
    sentences = []
    for entry in study["published"]:
        for metric in ("test_accuracy", "val_accuracy"):
            if entry.get(metric) and not attainable(entry[metric], study["images"]):
                sentences.append(f"{entry['row']}: {metric} {entry[metric]} % is not a share of {study['images']:,} images.")
    return sentences
