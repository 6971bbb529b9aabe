"""What a frozen backbone answers, kept: a picture passes through it once, however many epochs and jobs train a head on it.

    stills      features of every picture as it is and mirrored: for evaluation, and for training that augments by flips or not at all
    epoch-<e>   features and targets of one epoch's augmented pictures, which are a function of (seed, epoch, batch)

Jobs that differ only behind the backbone find the same tables, so the first of them pays for all: one fills a table at a time, and who
comes meanwhile waits for it.
"""

import logging
import shutil
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b

import torch
from filelock import FileLock, Timeout

from fer_lightning.process import signals as interrupt
from fer_lightning.process.files import replacing
from fer_lightning.process.memory import give_back
from fer_lightning.transforms.augment import Augment

log = logging.getLogger(__name__)

POLL_S = 0.1

# How many threads fill a table, where it is not as many as compute otherwise.
_filling_threads = None


def compute_on_one_thread():
    """For a process that works beside others; while these wait for a table that it fills, it goes on with all its threads."""
    global _filling_threads
    _filling_threads = torch.get_num_threads()
    torch.set_num_threads(1)


class Table:
    """Features (slots, V, F) of V views each, and targets where augmentation makes them; filled as they come."""

    def __init__(self, path, slots):
        self.path = path
        self.known = torch.zeros(slots, dtype=torch.bool)
        self.features = None
        self.targets = None
        self.changed = False
        self._lock = FileLock(path.with_suffix(".lock")) if path else None
        self._read()

    @torch.inference_mode(False)  # what a validation pass reads or allocates must be writable in training too
    def _read(self):
        if not (self.path and self.path.is_file()):
            return
        try:
            # A memory map that is copied where it is written to: what is not used is not read.
            stored = torch.load(self.path, mmap=True, weights_only=True)
            self.known, self.features, self.targets = stored["known"], stored["features"], stored["targets"]
        except Exception as error:  # there is no end to what a damaged file can raise
            log.warning("%s is damaged, so the backbone is asked anew (%s)", self.path, str(error).partition("\n")[0])

    def lacks(self, slots):
        """Which of the slots (B,) this process has to fill, (B,) bool. If any, the table is its own until `save`; others wait for that."""
        unknown = ~self.known[slots]
        if unknown.any() and self._claim():
            self._read()
            unknown = ~self.known[slots]
            if not unknown.any():
                self._release()
        return unknown

    def _claim(self):
        """Wait for whoever fills the table. Whether it has become this process's only now, so that others may have filled it."""
        if self._lock is None or self._lock.is_locked or self.changed:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not self._lock.is_locked:
                with suppress(Timeout):
                    self._lock.acquire(timeout=POLL_S)
                interrupt.raise_if_asked()
        except (OSError, NotImplementedError):  # no room, or a file system without locks: each for itself
            return False
        if _filling_threads:
            torch.set_num_threads(_filling_threads)
        return True

    def _release(self):
        if self._lock is not None and self._lock.is_locked:
            if _filling_threads:
                torch.set_num_threads(1)
            self._lock.release()

    @torch.inference_mode(False)
    def keep(self, slots, features, targets=None):
        """features: (V B, F), all first views, then all second ones, of B slots; targets (V B,) or (V B, 7)."""
        features = features.cpu().unflatten(0, (-1, len(slots))).transpose(0, 1)
        if self.features is None:
            self.features = torch.empty(len(self.known), *features.shape[1:], dtype=features.dtype)
        self.features[slots] = features
        if targets is not None:
            targets = targets.cpu().unflatten(0, (-1, len(slots))).transpose(0, 1)
            if self.targets is None:
                self.targets = torch.empty(len(self.known), *targets.shape[1:], dtype=targets.dtype)
            self.targets[slots] = targets
        self.known[slots] = True
        self.changed = True

    def recall(self, slots, device):
        """(features (V B, F), targets or None) of slots that are known."""
        features, targets = (
            None if part is None else part.index_select(0, slots).transpose(0, 1).flatten(0, 1).to(device)
            for part in (self.features, self.targets)
        )
        return features, targets

    def save(self):
        """Replace the file by what is known now. Where there is no room for it, the next job asks the backbone itself."""
        try:
            if self.path and self.changed:
                self._write()
        finally:
            self._release()

    def _write(self):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.features.nbytes > shutil.disk_usage(self.path.parent).free / 2:
                raise OSError("they would take more than half of what is free there")
            with replacing(self.path) as part:
                torch.save({"known": self.known, "features": self.features, "targets": self.targets}, part)
            self.changed = False
        except (OSError, RuntimeError) as error:  # torch's word for a disk that fills while it writes
            log.warning("features are not kept in %s (%s)", self.path.parent, error)


class Features:
    """The tables of one frozen backbone, for the passes of one job.

    pictures: how many there are, in all parts
    augment:  of the training
    stills, epochs: folders of the tables, for whoever comes with the same pictures and backbone, and for the second the same draws;
                    None where there is nobody to share them with: stills then last as long as the job, epochs are not kept
    """

    def __init__(self, pictures, augment, stills=None, epochs=None):
        self.flips_only = asdict(augment) == asdict(Augment(flip=augment.flip))
        self._pictures = pictures
        self._epochs = epochs
        self._stills = Table(stills and stills / "stills.pt", 2 * pictures)
        self._epoch = None

    def __deepcopy__(self, memo):
        # Weight averaging copies the module that holds this; the tables are hundreds of megabytes, and the same for both.
        return self

    def still(self, pixels, mirrored, rows, ask):
        """Features (B, F) of pictures as they are or mirrored.

        pixels: (B, 1, H, W) uint8; mirrored: (B,) bool, None where none is; ask(pixels) -> features, for those that are new
        """
        slots = rows.cpu() if mirrored is None else rows.cpu() + self._pictures * mirrored.cpu()
        new = self._stills.lacks(slots)
        if new.any():
            self._stills.keep(slots[new], ask(pixels[new.to(pixels.device)]))
        return self._stills.recall(slots, pixels.device)[0]

    def recall_epoch(self, epoch, rows):
        """(features, targets) of a training batch that another job has met; None where none has."""
        if self._epochs is None:
            return None
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, Table(self._epochs / f"epoch-{epoch}.pt", self._pictures)
        table = self._epoch[1]
        return None if table.lacks(rows.cpu()).any() else table.recall(rows.cpu(), rows.device)

    def keep_epoch(self, rows, features, targets):
        """The features and targets of the training batch that `recall_epoch` did not know."""
        if self._epochs is not None:
            self._epoch[1].keep(rows.cpu(), features, targets)

    def save(self):
        """Let other jobs, and another try at this one, have what is new; and those that wait go on."""
        tables = [self._stills, *(self._epoch or ())[1:]]
        if any(table.changed for table in tables):
            give_back()  # what the backbone took, before one that waits asks it too
        for table in tables:
            table.save()


def digest(*parts):
    """Sixteen hex digits of state dicts, arrays and plain values."""
    whole = blake2b(digest_size=8)
    for part in parts:
        for name, value in sorted(part.items()) if isinstance(part, dict) else [("", part)]:
            whole.update(str(name).encode())
            if isinstance(value, torch.Tensor):
                value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            whole.update(repr(value).encode() if not hasattr(value, "tobytes") else memoryview(value).cast("B"))
    return whole.hexdigest()
