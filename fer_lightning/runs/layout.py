"""The run folder: what a job leaves behind. Everything known of a run is in it; loggers only mirror it.

    result.json           status, protocol, data, model, selected epoch, metrics, timings, environment: written last (result.py)
    metrics.csv           one row an epoch, appended as the epoch ends (metrics_csv.py)
    predictions.parquet   one row an image of val and test: row, split, label, clean, p0, p1, ... (predictions.py);
                          predictions_ten_crop.parquet and the like: of several views of each image
    steps.parquet         one row a training step: step, epoch, images, loss, grad_norm, lr; replaced as an epoch ends (steps.py)
    checkpoints/          best.ckpt (weights of the selected epoch); until the run is done, what resuming needs
    .hydra/               the config (config_files.py)
    saliency.png          where the network looks, if `python -m fer_lightning.saliency` drew it
    evaluation-ID.json    scores on other data, if `python -m fer_lightning.evaluate` computed them (evaluations.py)
    explain.png           why it decides, if `python -m fer_lightning.explain` drew it; explain_pictures.png: the same on other pictures

A study folder holds the run folders of its jobs and study.json (study_file.py).
"""

import re
from contextlib import suppress
from pathlib import Path

from fer_lightning.process.errors import UserError
from fer_lightning.process.first_process import first_only
from fer_lightning.safety.untrusted_files import links_in

RESULT = "result.json"
METRICS = "metrics.csv"
PREDICTIONS = "predictions.parquet"
PREDICTIONS_OF_VIEWS = {kind: f"predictions_{kind}.parquet" for kind in ("flip", "five_crop", "ten_crop")}  # several views of each image
STEPS = "steps.parquet"
LAST = "last.ckpt"
BEST = "best.ckpt"
SALIENCY = "saliency.png"
EXPLAIN, EXPLAIN_PICTURES = "explain.png", "explain_pictures.png"
LOCK = ".lock"

# In checkpoints/ until the run is done.
UNFINISHED = (LAST, "best-*.ckpt")

# A file that was being written when its process was killed: .NAME.<random>.tmp, and without .tmp as earlier releases named it.
LEFT_OVER = re.compile(r"\.(.+)\.(\w{6,}\.tmp|[0-9a-f]{32}|[0-9]+)")

# The names that a run gives to its files, those of its config and checkpoints included.
WRITTEN = re.compile(
    r"(result|svm|evaluation-[0-9a-f]{8})\.json|(predictions(_flip|_five_crop|_ten_crop)?|steps)\.parquet|(saliency|explain(_pictures)?)\.png"
    r"|(config|hydra|overrides)\.yaml|(last|best.*)\.ckpt"
)


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
    for name in (RESULT, METRICS, PREDICTIONS, *PREDICTIONS_OF_VIEWS.values(), STEPS):
        (Path(folder) / name).unlink(missing_ok=True)
    drop_unfinished(folder)
    (checkpoints_of(folder) / BEST).unlink(missing_ok=True)


@first_only
def drop_unfinished(folder):
    """Remove the checkpoints that only an unfinished run needs. Over a sweep they would fill a disk."""
    for pattern in UNFINISHED:
        for path in checkpoints_of(folder).glob(pattern):
            path.unlink()


def drop_left_overs(folder):
    """Remove what killed processes left half-written in a run folder. The caller has locked it, so nobody is writing there now."""
    for place in (Path(folder), Path(folder) / ".hydra", checkpoints_of(folder)):
        remove_left_overs(place, WRITTEN)


def remove_left_overs(folder, written, before=None):
    """Remove the half-written files of the names that a pattern gives, of those of ours alone.

    before: a time of the file system's own clock; what was written later may still be written to
    """
    for path in folder.glob(".*") if folder.is_dir() and not folder.is_symlink() else ():
        match = LEFT_OVER.fullmatch(path.name)
        with suppress(OSError):  # another process has removed it
            if match and written.fullmatch(match[1]) and not path.is_dir() and (before is None or path.lstat().st_mtime < before):
                path.unlink()
