"""A finished run as read from its folder, and whether the predictions of two runs are of the same images."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.config.identity import shown_config
from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import CONFIG, read_config
from fer_lightning.runs.layout import METRICS, PREDICTIONS, RESULT, run_folders
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.predictions import class_columns, part_of, predicted, read_predictions
from fer_lightning.runs.result import read_result

CLEAN_UNKNOWN = "Clean images are left out, because none is known: older runs have no column `clean` in predictions.parquet."


@dataclass(frozen=True)
class Run:
    """folder; result: its result.json; table: its predictions.parquet"""

    folder: Path
    result: dict
    table: pd.DataFrame

    @property
    def name(self):
        return self.folder.absolute().name

    @property
    def probabilities(self):
        """The names of the columns with the probabilities, one a class."""
        return class_columns(self.table)

    def part(self, split):
        """The predictions of val or test, one row an image, ordered by the images' rows in the data, which are the index."""
        return part_of(self.table, split)

    def settings(self):
        """What its training depends on, with dotted keys, without paths; None if it has no config, as an ensemble."""
        if not (self.folder / CONFIG).exists():
            return None
        try:
            return shown_config(read_config(self.folder))
        except (OmegaConfBaseException, AttributeError) as error:
            raise UserError(f"{self.folder / CONFIG} cannot be read: {' '.join(str(error).split())}") from error

    def epochs(self):
        """How many epochs it trained; None if it has no metrics.csv, as an ensemble."""
        if not (self.folder / METRICS).exists():
            return None
        try:
            return len(read_metrics(self.folder))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder / METRICS} is damaged: {error}") from error


def read_run(folder):
    """The Run in a folder. UserError if there is none, or no finished one."""
    folder = Path(folder)
    result = read_record(folder)
    if result is None:
        raise UserError(f"{folder} is no run folder: it has no {RESULT}. {_runs_below(folder)}")
    if result.get("status") != "done":
        raise UserError(f"{folder} holds no finished run: its status is {result.get('status')}. The same command again finishes it.")
    missing = {"job", "protocol", "data", "model", "environment", "metrics", "time"} - set(result)
    if missing:
        raise UserError(f"{folder / RESULT} is damaged: it says nothing of {', '.join(sorted(missing))}. Run the job again.")
    try:
        return Run(folder, result, read_predictions(folder))
    except OSError as error:
        raise UserError(f"{folder / PREDICTIONS} is missing ({error}). Run the job again.") from error
    except ValueError as error:
        raise UserError(f"{folder / PREDICTIONS} is damaged ({error}). Run the job again.") from error


def read_record(folder):
    """The result.json of a folder, None if it has none. UserError if it is damaged."""
    try:
        return read_result(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"{Path(folder) / RESULT} cannot be read: {error}") from error


def _runs_below(folder):
    if folder.is_file():
        return f"Name the folder, {folder.parent}."
    runs = run_folders(folder)
    if runs:
        return f"Name {'the run' if len(runs) == 1 else 'one of the runs'} in it: {', '.join(map(str, runs[:3]))}{' ...' * (len(runs) > 3)}"
    return "Run folders are those below multirun/NAME and outputs/."


def difference(first, second):
    """Why the predictions of two runs cannot be paired, as a sentence; None if they can.

    They can if protocol, fingerprint of the data and classes are the same, and the label of every image that both scored.
    """
    protocols = [run.result["protocol"] for run in (first, second)]
    if protocols[0] != protocols[1]:
        return f"{first.name} ran under protocol {protocols[0]}, {second.name} under {protocols[1]}."
    data = [run.result["data"] for run in (first, second)]
    prints = [entry.get("fingerprint") or {} for entry in data]
    parts = [part for part in sorted({*prints[0], *prints[1]}) if prints[0].get(part) != prints[1].get(part)]
    if parts or not prints[0]:
        verdicts = f"{first.name}: {data[0].get('verdict')}, {second.name}: {data[1].get('verdict')}"
        return f"Their data are not the same: {', '.join(parts) or 'no fingerprint, so any part may'} differ ({verdicts})."
    classes = [entry.get("classes") for entry in data]
    if all(classes) and classes[0] != classes[1]:
        return f"{first.name} knows the classes {', '.join(classes[0][:9])}, {second.name} {', '.join(classes[1][:9])}."
    if first.probabilities != second.probabilities:
        return f"{first.name} knows {len(first.probabilities)} classes, {second.name} {len(second.probabilities)}."
    both = first.table.merge(second.table, on=["split", "row"])
    unlike = int((both["label_x"] != both["label_y"]).sum())
    if unlike:
        return f"{unlike:,} of {len(both):,} images have another label: other labels, or copies of the data in another order."
    return None


def on_both(first, second, split):
    """The images of a part that both runs scored: row, label, prediction and probability of each run (_a, _b), clean if both know it.

    Clean: no identical twin is among the images that either run was trained or selected on.
    """
    parts = first.part(split), second.part(split)
    rows = parts[0].index.intersection(parts[1].index)
    images = pd.DataFrame({"label": parts[0].loc[rows, "label"]})
    for side, run, part in zip("ab", (first, second), parts):
        probabilities = part.loc[rows, run.probabilities].to_numpy()
        images[f"prediction_{side}"] = predicted(probabilities)
        images[f"probability_{side}"] = probabilities.max(1)
    if all("clean" in part and part["clean"].notna().all() for part in parts):
        images["clean"] = (parts[0].loc[rows, "clean"] & parts[1].loc[rows, "clean"]).astype(bool)
    return images.reset_index()
