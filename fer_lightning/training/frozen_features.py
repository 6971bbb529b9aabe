"""Cache of a frozen backbone's features: each image passes through it once, however many epochs or jobs use it.

Two kinds of tables hold the features:

    stills      of every image as it is and mirrored: for evaluation, and for training without augmentation or with flips alone
    epoch-<e>   of the augmented images of one epoch, with their targets, which are a function of (seed, epoch, batch)

Jobs of a sweep that differ only behind the backbone find the same tables, so only the first one computes. One job fills a table at a time;
a job that needs it meanwhile waits.
"""

import logging
import shutil
from contextlib import suppress
from dataclasses import asdict
from hashlib import blake2b

import torch
from filelock import FileLock, Timeout

from fer_lightning.process import ranks
from fer_lightning.process import signals as interrupt
from fer_lightning.process.files import replacing
from fer_lightning.process.memory import give_back
from fer_lightning.transforms.prepare import prepare

log = logging.getLogger(__name__)

POLL_S = 0.1

# How many threads fill a table, if not as many as compute otherwise.
_filling_threads = None


def compute_on_one_thread():
    """For a process that works beside others. While these wait for a table that it fills, it uses all its threads again."""
    global _filling_threads
    _filling_threads = torch.get_num_threads()
    torch.set_num_threads(1)


class FrozenBackbone:
    """A frozen backbone with a cache around it, for the training and evaluation of one job.

    compute: (images (B, 1, H, W)) -> features (B, F)
    images:  how many the data set has, in all parts
    stills, epochs: folders of the two kinds of tables, shared with other jobs. If None, there are no other jobs: stills are kept in
             memory as long as the job lasts, epochs are not kept
    """

    def __init__(self, compute, images, stills=None, epochs=None):
        self._compute = compute
        self._images = images
        self._stills = Table(stills and stills / "stills.pt", 2 * images)
        self._epochs = epochs
        self._epoch = None

    def __deepcopy__(self, memo):
        # Weight averaging copies the module that holds this. The tables are hundreds of megabytes, and the same for both.
        return self

    def training(self, batch, augment, epoch):
        """(features of this process's share, targets of all) of a training batch (pixels, labels, rows), augmented by an `Augment`."""
        pixels, labels, rows = batch
        if augment.only_flips:
            pixels, targets, mirrored = augment(pixels, labels)
            return self._of_stills(*(ranks.share(part, len(rows)) for part in (pixels, rows, mirrored))), targets
        if self._epochs is None:
            return self._of_augmented(batch, augment)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, Table(self._epochs / f"epoch-{epoch}.pt", self._images)
        table = self._epoch[1]
        if table.lacks(rows.cpu()).any():
            features, targets = self._of_augmented(batch, augment)
            table.keep(rows.cpu(), features, targets)
            return features, targets
        return table.recall(rows.cpu(), rows.device)

    def evaluation(self, pixels, rows, views):
        """Features (V B, F) of the `Views` of images (B, 1, H, W) uint8; rows (B,). Crops are computed each time."""
        seen = views.expand(pixels)
        if seen.shape[1:] != pixels.shape[1:]:
            return self._compute(seen)
        return self._of_stills(seen, rows.repeat(views.count), views.mirrored.repeat_interleave(len(rows)))

    def _of_stills(self, pixels, rows, mirrored):
        """Features (B, F) of images (B, 1, H, W) uint8 that are mirrored where `mirrored` (B,) says so; rows (B,)."""
        slots = rows.cpu() + self._images * mirrored.cpu()
        new = self._stills.lacks(slots)
        if new.any():
            self._stills.keep(slots[new], self._compute(pixels[new.to(pixels.device)]))
        return self._stills.recall(slots, pixels.device)[0]

    def _of_augmented(self, batch, augment):
        pixels, labels, rows = batch
        pixels, targets, _ = augment(pixels, labels)
        return self._compute(ranks.share(pixels, len(rows))), targets

    def save(self):
        """Write what is new for other jobs and for a next attempt at this one, and release the locks that others wait for."""
        tables = [self._stills, *(self._epoch or ())[1:]]
        if any(table.changed for table in tables):
            give_back()  # the memory that the backbone took, before a waiting job takes as much
        for table in tables:
            table.save()


def cache_features(module, data, *, shared, precision, weights=None):
    """The FrozenBackbone around the backbone of a module, whose tables are found by everything that their features depend on.

    shared:    folder for what jobs of a sweep can share; None: there are no other jobs
    precision: of the run, in Lightning's terms
    weights:   `content_digest` of the backbone's state dict, if it is known
    """

    def compute(pixels):
        with torch.no_grad(), module.trainer.precision_plugin.forward_context():
            return module.backbone(prepare(pixels, module.backbone.input_spec, module.channels_last))

    if shared is None:
        return FrozenBackbone(compute, len(data.pixels))
    weights = weights or content_digest(module.backbone.state_dict())
    stills = content_digest(weights, module.backbone.input_spec, data.pixels, precision)
    epochs = content_digest(stills, asdict(module.augment), data.targets, data.train_index, data.batch_size, data.seed)
    return FrozenBackbone(compute, len(data.pixels), shared / stills, shared / epochs)


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
        self._lock = FileLock(path.with_suffix(".lock")) if path else None
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
            while not self._lock.is_locked:
                with suppress(Timeout):
                    self._lock.acquire(timeout=POLL_S)
                interrupt.raise_if_asked()
        except (OSError, NotImplementedError):  # no space, or a file system without locks: each process computes for itself
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
