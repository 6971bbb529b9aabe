"""metrics.csv: one row an epoch, appended as the epoch ends."""

import csv
import io
from math import nan
from pathlib import Path

from fer_lightning.process.files import replace_file
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import METRICS
from fer_lightning.safety.untrusted_files import read_text

# An epoch takes 300 bytes. A file of this size takes half a gigabyte in memory.
LARGEST = 10_000_000
MOST_EPOCHS = 1_000_000


@first_only
def append_metrics(folder, row):
    """Add one epoch to metrics.csv. A resumed run continues in the same file, under the same header."""
    path = Path(folder) / METRICS
    names, new = list(row), not (path.exists() and path.stat().st_size)
    if not new:
        with open(path, newline="", encoding="utf-8") as file:
            names = next(csv.reader(file))
    try:
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow(row)
    except OSError as error:
        error.filename = str(path)  # a full disk does not say which file was too large for it
        raise


@first_only
def cut_metrics(folder, epochs):
    """Keep the first so many epochs of metrics.csv: a run resumed from a checkpoint writes the later ones again."""
    path = Path(folder) / METRICS
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            lines = file.readlines()
        replace_file(path, "".join(lines[: 1 + epochs]))


def read_metrics(folder):
    """The rows of metrics.csv as a list of {name: float}; a row lacks what its epoch did not measure.

    A last line without its end is left out: the run is still writing it. OSError if there is no such file; ValueError if it is damaged.
    """
    text = read_text(Path(folder) / METRICS, LARGEST)
    try:
        table = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        rows = [{name: float(value) for name, value in row.items() if value != ""} for row in table]
    except (TypeError, csv.Error) as error:  # a row longer or shorter than the header
        raise ValueError(f"a row does not fit the header ({error})") from error
    for row in rows:
        epoch = row.get("epoch", nan)
        if not (epoch.is_integer() and 0 <= epoch < MOST_EPOCHS):
            raise ValueError(f"a row has the epoch {epoch}")
    return rows
