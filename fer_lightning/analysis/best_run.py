"""The run to use of a study: chosen by validation, so that the test part does not choose."""

from pathlib import Path

import pandas as pd

from fer_lightning.analysis.study_record import gather
from fer_lightning.process.errors import UserError
from fer_lightning.runs.layout import RESULT, run_folders


def best_run(folder):
    """(run folder, a sentence on the choice): of a study the best seed of the cell that leads the ranking; any other folder is itself, "".

    UserError for a study without a finished run.
    """
    folder = Path(folder)
    if (folder / RESULT).exists() or not run_folders(folder):
        return folder, ""
    study = gather(folder)
    if not len(study.done):
        raise UserError(f"{folder}: none of its runs is done yet.")
    cell, runs = next(iter(study.runs.items()))
    best = runs.sort_values("val_accuracy", ascending=False, kind="stable").iloc[0]
    if pd.isna(best["val_accuracy"]):
        why = f"No run in {folder} has a validation part, so test accuracy chose the cell, {cell}, and the order of seeds {best['name']}."
        return folder / best["name"], why
    score = f"{100 * best['val_accuracy']:.2f} %"
    return folder / best["name"], f"Best cell of {folder} by validation: {cell}. Its best run: {best['name']}, {score}."
