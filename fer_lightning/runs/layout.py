"""The run folder: what a job leaves behind. Everything known of a run is in it; loggers only mirror it.

    result.json           status, protocol, data, model, selected epoch, metrics, timings, environment: written last (result.py)
    metrics.csv           one row an epoch, appended as the epoch ends (metrics_csv.py)
    predictions.parquet   one row an image of val and test: row, split, label, clean, p0..p6 (predictions.py)
    steps.parquet         one row a training step: step, epoch, loss, grad_norm, lr; replaced as an epoch ends (steps.py)
    checkpoints/          best.ckpt (weights of the selected epoch); until the run is done, what resuming needs
    .hydra/               the config (config_files.py)
    saliency.png          where the network looks, if `python -m fer_lightning.saliency` drew it

A study folder holds the run folders of its jobs and study.json (study_file.py).
"""

import shutil
from pathlib import Path

from fer_lightning.process.errors import UserError
from fer_lightning.process.first_process import first_only
from fer_lightning.safety.untrusted_files import links_in

RESULT = "result.json"
METRICS = "metrics.csv"
PREDICTIONS = "predictions.parquet"
STEPS = "steps.parquet"
BEST = "best.ckpt"
SALIENCY = "saliency.png"


def checkpoints_of(folder):
    return Path(folder) / "checkpoints"


def run_folders(folder):
    """The run folders directly below a folder, such as those of a study. Links are left out: they may lead anywhere."""
    return sorted(path.parent for path in Path(folder).glob(f"*/{RESULT}") if not path.parent.is_symlink())


def refuse_links(folder):
    """UserError for a link in a study or run folder in which a job is about to write and delete: it may lead anywhere."""
    folder = Path(folder)
    for place in (folder, folder / ".hydra", checkpoints_of(folder)):
        if links := links_in(place):
            raise UserError(f"{links[0]} is a link, which is not followed: remove it, or choose another folder.")


@first_only
def clear(folder):
    """Remove what an earlier, unfinished attempt at the same job left, so that its epochs are not taken for this one's."""
    for name in (RESULT, METRICS, PREDICTIONS, STEPS):
        (Path(folder) / name).unlink(missing_ok=True)
    shutil.rmtree(checkpoints_of(folder), ignore_errors=True)


@first_only
def drop_unfinished(folder):
    """Remove the checkpoints that only an unfinished run needs. Over a sweep they would fill a disk."""
    for path in checkpoints_of(folder).glob("*"):
        if path.name != BEST:
            path.unlink()
