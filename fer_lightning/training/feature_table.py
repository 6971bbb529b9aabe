"""A table of features in a file that several jobs share: one process fills it at a time, and those that need it meanwhile wait."""

import logging
import shutil
from hashlib import blake2b

import torch

from fer_lightning.process.files import replacing
from fer_lightning.process.locks import acquire, file_lock, release
from fer_lightning.process.signals import raise_pending

log = logging.getLogger(__name__)

POLL_S = 0.1

# How many threads fill a table, if not as many as compute otherwise.
_filling_threads = None


def compute_on_one_thread():
    """For a process that works beside others. While these wait for a table that it fills, it uses all its threads again."""
    global _filling_threads
    _filling_threads = torch.get_num_threads()
    torch.set_num_threads(1)


class Table:
    """Features (slots, V, F) of V images each and, for augmented images, their targets; filled slot by slot, kept in a file.

    path: of the file, which other jobs share; None: in memory only
    """

    def __init__(self, path, slots):
        self.path = path
        self.known = torch.zeros(slots, dtype=torch.bool)
        self.features = None
        self.targets = None
        self.changed = False
        self._lock = file_lock(path.with_suffix(".lock")) if path else None
        self._read()

    @torch.inference_mode(False)  # what a validation pass reads or allocates must be writable in training too
    def _read(self):
        if not (self.path and self.path.is_file()):
            return
        try:
            # A memory map, copied where it is written to: what is not used is not read.
            stored = torch.load(self.path, mmap=True, weights_only=True)
            self.known, self.features, self.targets = stored["known"], stored["features"], stored["targets"]
        except Exception as error:  # a damaged file can raise anything
            log.warning("%s is damaged, so its features are computed again (%s)", self.path, str(error).partition("\n")[0])

    def lacks(self, slots):
        """Which of the slots (B,) this process has to fill, (B,) bool. If any, the table is locked until `save`, and others wait."""
        unknown = ~self.known[slots]
        if unknown.any() and self._acquire():
            self._read()
            unknown = ~self.known[slots]
            if not unknown.any():
                self._release()
        return unknown

    def _acquire(self):
        """Acquire the lock, waiting if needed. True if newly acquired: re-read, another process may have filled the table."""
        if self._lock is None or self._lock.is_locked or self.changed:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while not acquire(self._lock, POLL_S):
                raise_pending()
        except OSError:  # no space, or a file system without locks: each process computes for itself
            return False
        if _filling_threads:
            torch.set_num_threads(_filling_threads)
        return True

    def _release(self):
        if self._lock is not None and self._lock.is_locked:
            if _filling_threads:
                torch.set_num_threads(1)
            release(self._lock)

    @torch.inference_mode(False)
    def keep(self, slots, features, targets=None):
        """Fill B slots. features: (V B, F), all first views, then all second ones; targets: (V B,) or (V B, 7)."""
        self.features = self._put(self.features, slots, features)
        if targets is not None:
            self.targets = self._put(self.targets, slots, targets)
        self.known[slots] = True
        self.changed = True

    def _put(self, column, slots, values):
        values = values.cpu().unflatten(0, (-1, len(slots))).transpose(0, 1)
        if column is None:
            column = torch.empty(len(self.known), *values.shape[1:], dtype=values.dtype)
        column[slots] = values
        return column

    def recall(self, slots, device):
        """(features (V B, F), targets or None) of known slots, on a device."""
        columns = (self.features, self.targets)
        return tuple(None if c is None else c.index_select(0, slots).transpose(0, 1).flatten(0, 1).to(device) for c in columns)

    def save(self):
        """Write the file if anything is new, and release the lock. If the disk has no space for it, the next job computes for itself."""
        try:
            if self.path and self.changed:
                self._write()
        finally:
            self._release()

    def _write(self):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.features.nbytes > shutil.disk_usage(self.path.parent).free / 2:
                raise OSError("they would take more than half of the free space")
            with replacing(self.path) as part:
                torch.save({"known": self.known, "features": self.features, "targets": self.targets}, part)
            self.changed = False
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk fills while it writes
            log.warning("features are not kept in %s (%s)", self.path.parent, error)


def content_digest(*parts):
    """Sixteen hex digits of the content of state dicts, tensors, arrays and plain values."""
    content = blake2b(digest_size=8)
    for part in parts:
        for name, value in sorted(part.items()) if isinstance(part, dict) else [("", part)]:
            content.update(str(name).encode())
            if isinstance(value, torch.Tensor):
                value = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            content.update(repr(value).encode() if not hasattr(value, "tobytes") else memoryview(value).cast("B"))
    return content.hexdigest()
