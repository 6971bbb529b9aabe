"""The run folder: what a job leaves behind. Everything that is known of a run is in it; loggers only mirror it.

    result.json           status, protocol, data, model, selected epoch, metrics, timings, environment: written last
    metrics.csv           one row an epoch, appended as the epoch ends
    predictions.parquet   one row a picture of val and test: row, split, label, p0..p6
    checkpoints/          best.ckpt (weights of the selected epoch), last.ckpt (everything needed to go on)
    .hydra/               the config
"""

import csv
import json
import math
import os
import platform
import shutil
import socket
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

SCHEMA = 1

RESULT = "result.json"
METRICS = "metrics.csv"
PREDICTIONS = "predictions.parquet"

PACKAGES = ("fer_lightning", "torch", "lightning", "hydra-core", "timm", "transformers", "torchmetrics", "numpy")


def replace_file(path, text):
    """Write a text file so that a reader, or a crash, sees the old one or the new one, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def read_result(folder):
    """The result.json of a run folder, or None where there is none yet."""
    path = Path(folder) / RESULT
    return json.loads(path.read_text()) if path.exists() else None


def write_result(folder, result):
    """Replace result.json. Numbers that JSON cannot hold (NaN, infinity) become null."""
    replace_file(Path(folder) / RESULT, json.dumps({"schema": SCHEMA} | _plain(result), indent=1, allow_nan=False) + "\n")


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def clear(folder):
    """Remove what an earlier, unfinished try at the same job left, so that its epochs are not taken for this one's."""
    for name in (RESULT, METRICS, PREDICTIONS):
        (Path(folder) / name).unlink(missing_ok=True)
    shutil.rmtree(Path(folder) / "checkpoints", ignore_errors=True)


def append_metrics(folder, row):
    """Add one epoch to metrics.csv. A resumed run goes on in the same file, under the same header."""
    path = Path(folder) / METRICS
    new = not path.exists()
    if not new:
        with open(path, newline="") as file:
            names = next(csv.reader(file))
    else:
        names = list(row)
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
        if new:
            writer.writeheader()
        writer.writerow(row)


def read_metrics(folder):
    """The rows of metrics.csv as a list of {name: float}."""
    with open(Path(folder) / METRICS, newline="") as file:
        return [{k: float(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]


def write_predictions(folder, parts):
    """parts: {split: (logits (N, 7), labels (N,), rows (N,))} of tensors."""
    import pandas as pd

    frames = []
    for split, (logits, labels, rows) in parts.items():
        frame = pd.DataFrame(logits.softmax(1).cpu().numpy(), columns=[f"p{c}" for c in range(logits.shape[1])])
        frame.insert(0, "row", rows.cpu().numpy())
        frame.insert(1, "split", split)
        frame.insert(2, "label", labels.cpu().numpy())
        frames.append(frame)
    path = Path(folder) / PREDICTIONS
    part = path.with_name(f".{path.name}.{os.getpid()}")
    pd.concat(frames).to_parquet(part, index=False)
    os.replace(part, path)


def environment():
    """Where and with what the job runs."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "git": _git_commit(),
        "started": now(),
    }


def now():
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git_commit():
    """The commit of the checkout the package runs from; None for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


