"""The checkpoints of a run: written whole or not at all, read only whole, and without running what they hold.

    last.ckpt            everything needed to go on, replaced as an epoch ends and when a run is interrupted; until the run is done
    best-<phase>.ckpt    the epoch that the monitor selected in a phase; until the run is done
    best.ckpt            the weights that were tested
"""

import logging
import zipfile
from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replacing
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import BEST, checkpoints_of

log = logging.getLogger(__name__)

LAST = "last.ckpt"


class WholeFiles(TorchCheckpointIO):
    """Writes beside the file and then replaces it. Lightning's own writes to the temporary folder, which on another disk means a copy."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as part:
            _save(checkpoint, part)


def _save(content, path):
    """torch.save with the reason where the disk refuses: torch says "unexpected pos" of itself."""
    try:
        with open(path, "wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if not isinstance(error.__context__, OSError):
            raise
        raise OSError(error.__context__.errno, error.__context__.strerror, str(path)) from None


def best_of(run, phase):
    """Where the best epoch of a phase is kept."""
    return checkpoints_of(run) / f"best-{phase.name}.ckpt"


def read_checkpoint(path):
    """What a checkpoint holds; its tensors are read as they are used. UserError where it is cut, altered, foreign, or would run code."""
    try:
        # torch reads past a flipped bit. The CRC of every part is in the file already, and takes 0.4 of the time of loading.
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise ValueError("parts of it are compressed, which torch never does")  # and unfold to any size
            if part := archive.testzip():
                raise ValueError(f"{part} in it is altered")
        checkpoint = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        if "state_dict" not in checkpoint:
            raise ValueError("it holds no weights")
        return checkpoint
    except Exception as error:  # there is no end to what a damaged file can raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is damaged, or no checkpoint of ours ({reason}).") from error


def read_last(run):
    """The checkpoint that an unfinished run goes on from; None where it left none, or none that can be read."""
    path = checkpoints_of(run) / LAST
    if not path.exists():
        return None
    try:
        return read_checkpoint(path)
    except UserError as error:
        log.warning("%s The job starts anew.", error)
        return None


@first_only
def keep_selected(run, checkpoint):
    """Write best.ckpt: the selected weights alone, a third of a checkpoint of training."""
    best = checkpoints_of(run) / BEST
    with replacing(best) as part:
        _save({key: checkpoint[key] for key in ("state_dict", "epoch", "global_step")}, part)
