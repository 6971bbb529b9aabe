"""result.json: what is known of a run, read with type checks, written atomically."""

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import RESULT, run_folders
from fer_lightning.runs.scores import SCORES
from fer_lightning.safety.json_shape import NUMBER, SCALAR, TEXT, Complete, Each, Square, check_shape
from fer_lightning.safety.secrets import mask
from fer_lightning.safety.untrusted_files import read_json

SCHEMA = 1

COUNTS = ("n", "n_clean", "n_clean_near")

PARTS = ("train", "val", "test")

METRICS_SHAPE = {
    **dict.fromkeys([score.name for score in SCORES] + list(COUNTS), NUMBER),
    "per_class": Each(Complete(("precision", "recall", "f1"), (int, float))),
    "confusion": Square(),
}
SHAPE = {
    "status": str,
    "protocol": TEXT,
    "job": {"id": TEXT, "study": TEXT, "cell": Each((*SCALAR, list)), "seed": (int, str, type(None)), "overrides": Each(str, list)},
    "data": {
        **dict.fromkeys(("source", "verdict", "labels"), TEXT),
        "fingerprint": Each(TEXT),
        "near_twins": NUMBER,
        "classes": Each(str, list),
        "size": NUMBER,
        "counts": Each(Each(int)),
    },
    "model": {"backbone": TEXT, "parameters": NUMBER, "trainable": NUMBER, "flops": NUMBER},
    "environment": Each(object),
    "selected": {"epoch": NUMBER, "monitor": TEXT, "value": NUMBER},
    "metrics": dict.fromkeys(PARTS, METRICS_SHAPE),
    "stability": Each(SCALAR),
    "time": dict.fromkeys(("fit_s", "test_s", "total_s", "images_per_s", "test_pass_ms"), NUMBER),
    "error": {"type": TEXT, "message": TEXT, "where": TEXT, "traceback": TEXT},
    "batch": {"size": NUMBER, "accumulate": NUMBER},
    "resumed": Each({"epochs": NUMBER, "step": NUMBER, "at": TEXT}, list),
    "mirrors": Each(SCALAR),
    "phases": Each((int, type(None))),
}


def read_result(folder):
    """The result.json of a run folder, None if there is none yet. ValueError if it is damaged, or a link."""
    path = Path(folder) / RESULT
    if not os.path.lexists(path):
        return None
    result = read_json(path)
    check_shape(result, SHAPE)
    metrics = result.get("metrics") or {}
    for part in PARTS:
        _check_scores(part, metrics.get(part) or {})
    return result


def _check_scores(part, metrics):
    """ValueError unless shares lie between 0 and 1 and counts are whole numbers: intervals are computed from them."""
    shares = [score.name for score in SCORES if score.percent]
    for name, value in metrics.items():
        share_is_wrong = name in shares and value is not None and not 0 <= value <= 1
        count_is_wrong = name in COUNTS and value is not None and (value < 0 or value != int(value))
        if share_is_wrong or count_is_wrong:
            raise ValueError(f"metrics.{part}.{name} is {value}")


def read_results(folder):
    """({run: its result.json}, [runs whose result.json is damaged]) of the run folders directly below a folder.

    UserError if there is none, or none that can be read.
    """
    results, damaged = {}, []
    for run in run_folders(folder):
        try:
            result = read_result(run)
            result["status"], result["job"]["cell"], result["job"]["seed"]
        except (OSError, ValueError, KeyError, TypeError):
            damaged.append(run.name)
        else:
            results[run.name] = result
    if not results and not damaged:
        raise UserError(f"{folder} holds no run: no */{RESULT} below it. Name the folder of a study, such as multirun/NAME.")
    if not results:
        raise UserError(f"{folder}: no {RESULT} below it can be read. Run the jobs again.")
    return results, damaged


@first_only
def write_result(folder, result):
    """Replace result.json. Numbers that JSON cannot hold (NaN, infinity) become null, and secrets are masked."""
    replace_file(Path(folder) / RESULT, as_text(result))


def as_text(record):
    """A record as JSON, such as a result.json."""
    return json.dumps({"schema": SCHEMA} | _plain(record), indent=1, allow_nan=False) + "\n"


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return mask(value) if isinstance(value, str) else value


def now():
    return datetime.now(UTC).isoformat(timespec="seconds")
