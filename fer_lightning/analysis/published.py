"""What a paper printed against what was measured, and an audit of the printed numbers themselves."""

import math

import pandas as pd
import scipy

from fer_lightning.analysis.job_table import protocols
from fer_lightning.analysis.statistics.descriptive import classical_interval
from fer_lightning.config.cell_names import level_text
from fer_lightning.runs import scores


def attainable(printed, images):
    """Whether some count of `images` rounds to a printed percentage such as "68.78" (checklist A.5). images None: not known, True."""
    if images is None:
        return True
    decimals = len(printed.partition(".")[2])
    count = float(printed) / 100 * images
    return any(f"{100 * k / images:.{decimals}f}" == printed for k in (math.floor(count), math.ceil(count)))


def compare(jobs, study):
    """One row for every number of the paper that was measured too.

    jobs: frame of `make_jobs`; study: the study node of study.json. Columns: the cell's keys, row, metric, published, measured, sd, n,
    low, high (fractions), verdict: inside | above | below (the measured interval lies above or below the paper) | not comparable: why.
    """
    rows = []
    done = jobs[jobs["status"] == "done"]
    for entry in study["published"]:
        runs = done
        for key, value in entry["cell"].items():
            runs = runs[runs[key].map(level_text) == level_text(value)] if key in runs else runs[:0]
        for metric, score, column in _printed(entry):
            column = _with_views(column, runs)
            if column not in runs or not runs[column].notna().any():
                continue
            values = [float(v) for v in runs[column].dropna()]
            # An F1 is no share of the images, so one seed gives it no interval.
            images = int(runs["test_n"].iloc[0]) if metric == "test_accuracy" and runs["test_n"].notna().all() else None
            bounds = classical_interval(values, images, score.percent)
            rows.append(
                entry["cell"]
                | {"row": entry["row"], "metric": metric, "published": str(entry[metric])}
                | {"measured": sum(values) / len(values), "sd": scipy.stats.tstd(values) if len(values) > 1 else None, "n": len(values)}
                | {"low": bounds and bounds[0], "high": bounds and bounds[1]}
                | {"verdict": _verdict(_as_measured(score, entry[metric]), bounds, runs, study)}
            )
    return pd.DataFrame(rows)


def _printed(entry):
    """(name, score, column of the jobs) of each number in an entry. Without a part in its name, a score is of the test part."""
    for score in scores.SCORES:
        for part in ("test", "val", "train", None):
            metric = f"{part}_{score.name}" if part else score.name
            if entry.get(metric) and _is_number(entry[metric]):
                yield metric, score, metric if part else f"test_{score.name}"


def _is_number(printed):
    try:
        return math.isfinite(float(printed))
    except (ValueError, TypeError):
        return False


def _as_measured(score, printed):
    """A printed number on the scale of ours. Papers print accuracies in percent, but an F1 either way."""
    value = float(printed)
    fraction = not score.percent or (value <= 1 and not score.name.startswith("accuracy"))
    return value if fraction else value / 100


def _with_views(column, runs):
    """The score from several views of each image if the runs computed it, as the paper then did; else `column`."""
    known = {score.name for score in scores.SCORES}
    views = [c for c in runs if c.startswith(f"{column}_") and c.partition("_")[2] not in known and "_clean" not in c]
    return next((view for view in views if runs[view].notna().any()), column)


def _verdict(paper, bounds, runs, study):
    verdicts, measured = set(runs["verdict"].dropna()), protocols(runs)
    if not verdicts <= {"official", "official-lossy"}:
        return f"not comparable: {', '.join(sorted(verdicts))} data"
    if measured != [study["protocol"]]:
        return f"not comparable: measured under {', '.join(measured)}, published under {study['protocol']}"
    if bounds is None:
        return f"not comparable: {'one seed' if len(runs) == 1 else 'equal seeds'}, no interval"
    low, high = bounds
    return "above" if low > paper else "below" if high < paper else "inside"


def audit(study):
    """Sentences on printed accuracies that no count of the stated images gives."""
    sentences = []
    for entry in study["published"]:
        for metric in ("test_accuracy", "val_accuracy"):
            printed = str(entry.get(metric) or "")
            if _is_number(printed) and not attainable(printed, study["images"]):
                sentences.append(f"{entry['row']}: {metric} {printed} % is not a share of {study['images']:,} images.")
    return sentences
