"""The run folder: what a job leaves behind. Everything that is known of a run is in it; loggers only mirror it.

    result.json           status, protocol, data, model, selected epoch, metrics, timings, environment: written last
    metrics.csv           one row an epoch, appended as the epoch ends
    predictions.parquet   one row a picture of val and test: row, split, label, clean, p0..p6
    steps.parquet         one row a training step: step, epoch, loss, grad_norm, lr; replaced as an epoch ends
    checkpoints/          best.ckpt (weights of the selected epoch); until the run is done, what it needs to go on (checkpoints.py)
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
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path

from fer_lightning.errors import UserError
from fer_lightning.foreign import check_file, read_json
from fer_lightning.secrets import mask
from fer_lightning.shape import RESULT_SHAPE, check_shape

SCHEMA = 1

RESULT = "result.json"
METRICS = "metrics.csv"
PREDICTIONS = "predictions.parquet"
STEPS = "steps.parquet"
BEST = "best.ckpt"

PACKAGES = ("fer_lightning", "torch", "lightning", "hydra-core", "timm", "transformers", "torchmetrics", "numpy")


def is_first():
    """Of several processes that train one job, the first one alone writes to the run folder."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def first_only(write):
    return wraps(write)(lambda *args, **kwargs: write(*args, **kwargs) if is_first() else None)


@contextmanager
def replacing(path):
    """A path to write to. What was written is then at `path`, whole, and not at all where writing failed."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def replace_file(path, text):
    """Write a text file so that a reader, or a crash, sees the old one or the new one, never a part."""
    with replacing(path) as part, open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def check_writable(path):
    """UserError where a file that is to be written at the end of some work cannot be; asked before the work starts."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}.")


def read_result(folder):
    """The result.json of a run folder, or None where there is none yet. ValueError where it is damaged, or no file of its own."""
    path = Path(folder) / RESULT
    if not os.path.lexists(path):
        return None
    result = read_json(path)
    check_shape(result, RESULT_SHAPE)
    return result


@first_only
def write_result(folder, result):
    """Replace result.json. Numbers that JSON cannot hold (NaN, infinity) become null, and secrets are masked."""
    replace_file(Path(folder) / RESULT, json.dumps({"schema": SCHEMA} | _plain(result), indent=1, allow_nan=False) + "\n")


def write_config(folder, cfg, context, overrides):
    """Write .hydra as Hydra would, but each file at once: Hydra writes it before a job can say that it is done, and in parts.

    cfg: of the job; context: Hydra's own config; overrides: of the job, as typed
    """
    from omegaconf import OmegaConf

    (Path(folder) / ".hydra").mkdir(exist_ok=True)
    for name, node in (("config", cfg), ("hydra", {"hydra": context}), ("overrides", overrides)):
        replace_file(Path(folder) / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(OmegaConf.create(node)))


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return mask(value) if isinstance(value, str) else value


@first_only
def clear(folder):
    """Remove what an earlier, unfinished try at the same job left, so that its epochs are not taken for this one's."""
    for name in (RESULT, METRICS, PREDICTIONS, STEPS):
        (Path(folder) / name).unlink(missing_ok=True)
    shutil.rmtree(checkpoints_of(folder), ignore_errors=True)


def checkpoints_of(folder):
    return Path(folder) / "checkpoints"


@first_only
def drop_unfinished(folder):
    """Remove the checkpoints that only an unfinished run needs. Over a sweep they would fill a disk."""
    for path in checkpoints_of(folder).glob("*"):
        if path.name != BEST:
            path.unlink()


@first_only
def append_metrics(folder, row):
    """Add one epoch to metrics.csv. A resumed run goes on in the same file, under the same header."""
    path = Path(folder) / METRICS
    new = not (path.exists() and path.stat().st_size)
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


@first_only
def cut_metrics(folder, epochs):
    """Leave the first so many epochs in metrics.csv: a run that goes on from a checkpoint writes the later ones again."""
    path = Path(folder) / METRICS
    if path.exists():
        with open(path, newline="") as file:
            lines = file.readlines()
        replace_file(path, "".join(lines[: 1 + epochs]))


def read_metrics(folder):
    """The rows of metrics.csv as a list of {name: float}."""
    check_file(Path(folder) / METRICS)
    with open(Path(folder) / METRICS, newline="") as file:
        return [{k: float(v) for k, v in row.items() if v != ""} for row in csv.DictReader(file)]


@first_only
def write_predictions(folder, parts, clean=None):
    """parts: {split: (logits (N, 7), labels (N,), rows (N,))} of tensors; clean: mask of the test pictures (N,), None: not known.

    The column `clean` is empty for val: it says which test pictures have no identical twin among those trained or selected on.
    """
    import pandas as pd

    frames = []
    for split, (logits, labels, rows) in parts.items():
        frame = pd.DataFrame(logits.softmax(1).cpu().numpy(), columns=[f"p{c}" for c in range(logits.shape[1])])
        frame.insert(0, "row", rows.cpu().numpy())
        frame.insert(1, "split", split)
        frame.insert(2, "label", labels.cpu().numpy())
        known = clean is not None and split == "test"
        frame.insert(3, "clean", pd.array(clean.cpu().numpy() if known else [None] * len(frame), dtype="boolean"))
        frames.append(frame)
    _replace_table(Path(folder) / PREDICTIONS, pd.concat(frames))


@first_only
def write_steps(folder, steps):
    """steps: frame with epoch, loss, grad_norm (before clipping) and lr of each training step; `step` counts them from 1."""
    table = steps[["epoch", "loss", "grad_norm", "lr"]].astype({"epoch": "int32", "lr": "float32"})
    table.insert(0, "step", range(1, len(table) + 1))
    _replace_table(Path(folder) / STEPS, table)


def _replace_table(path, frame):
    with replacing(path) as part:
        frame.to_parquet(part, index=False)


def environment():
    """Where and with what the job runs."""
    import torch

    from fer_lightning import ranks

    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "processes": ranks.count(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
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


@cache  # of the code that is loaded, whatever happens to the checkout while a sweep runs
def _git_commit():
    """The commit of the checkout the package runs from; None for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


