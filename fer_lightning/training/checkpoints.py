"""The checkpoints of a run: written completely or not at all, checked when they are read, and read without running any code in them.

    last.ckpt            all that continuing needs; replaced at the end of an epoch and on an interruption; removed when the run is done
    best-<phase>.ckpt    the epoch that the monitor selected in a phase; removed when the run is done
    best.ckpt            the weights that were tested
"""

import logging
import zipfile
from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import make_folder, replacing
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import BEST, LAST, checkpoints_of
from fer_lightning.safety.untrusted_files import check_own
from fer_lightning.training.epoch_record import epoch_scores

log = logging.getLogger(__name__)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the file, then replaces it. Lightning writes to the temporary folder and copies, if that is on another disk."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        make_folder(Path(path).parent)
        with replacing(Path(path)) as part:
            _save(checkpoint, part)


def _save(content, path):
    """torch.save, which for a full disk raises OSError with its reason: torch itself says "unexpected pos"."""
    try:
        with open(path, "wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if not isinstance(error.__context__, OSError):
            raise
        raise OSError(error.__context__.errno, error.__context__.strerror, str(path)) from None


def best_of(run, phase):
    """The checkpoint of the epoch that was selected in a phase."""
    return checkpoints_of(run) / f"best-{phase.name}.ckpt"


def read_checkpoint(path):
    """The content of a checkpoint; its tensors are read when they are used. UserError if it is cut, altered, not ours or would run code."""
    try:
        check_own(path)
        # torch does not notice a flipped bit. Each part has a CRC in the file; checking these takes 0.4 of the time of loading.
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise ValueError("parts of it are compressed, which torch never does")  # they could unpack to any size
            if part := archive.testzip():
                raise ValueError(f"{part} in it is altered")
        checkpoint = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        if "state_dict" not in checkpoint:
            raise ValueError("it holds no weights")
        return checkpoint
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is damaged, or no checkpoint of ours ({reason}).") from error


def read_last(run):
    """The checkpoint that an unfinished run continues from; None if there is none, or none that can be read."""
    path = checkpoints_of(run) / LAST
    if not path.exists():
        return None
    try:
        return read_checkpoint(path)
    except UserError as error:
        log.warning("%s The job starts from the beginning.", error)
        return None


def load_selected(module, folder, phase, monitor, *, select="best"):
    """Load the weights of the epoch that the monitor selected in a phase; of its last epoch if monitor is None: nothing was held out.

    select: best | last; last: of its last epoch anyway

    Returns (the checkpoint, {epoch, monitor, value}).
    """
    checkpoint = read_checkpoint(best_of(folder, phase) if monitor and select == "best" else checkpoints_of(folder) / LAST)
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    value = epoch_scores(folder, checkpoint["epoch"], "val")[monitor.removeprefix("val/")] if monitor else None
    return checkpoint, {"epoch": checkpoint["epoch"], "monitor": monitor, "value": value}


@first_only
def keep_selected(run, checkpoint):
    """Write best.ckpt: only the selected weights, a third of a checkpoint of training."""
    best = checkpoints_of(run) / BEST
    with replacing(best) as part:
        _save({key: checkpoint[key] for key in ("state_dict", "epoch", "global_step")}, part)
