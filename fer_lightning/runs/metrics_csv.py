"""metrics.csv: one row an epoch, appended as the epoch ends."""

import csv
from pathlib import Path

from fer_lightning.process.files import replace_file
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import METRICS
from fer_lightning.safety.untrusted_files import check_file


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
