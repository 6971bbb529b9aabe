"""What a frozen backbone answers, kept: a picture passes through it once, however many epochs and jobs train a head on it.

    stills      features of every picture as it is and mirrored: for evaluation, and for training that augments by flips or not at all
    epoch-<e>   features and targets of one epoch's augmented pictures, which are a function of (seed, epoch, batch)

Jobs that differ only behind the backbone find the same tables, so the first of them pays for all.
"""

import logging
import shutil
from dataclasses import asdict
from hashlib import blake2b

import torch

from fer_lightning.augment import Augment
from fer_lightning.record import replacing

log = logging.getLogger(__name__)

class Table:
    """Features (slots, V, F) of V views each, and targets where augmentation makes them; filled as they come."""

    def __init__(self, path, slots):
        self.path = path
        self.known = torch.zeros(slots, dtype=torch.bool)
        self.features = None
        self.targets = None
        self.changed = False
        if path and path.is_file():
            try:
                # A memory map that is copied where it is written to: what is not used is not read.
                stored = torch.load(path, mmap=True, weights_only=True)
                self.known, self.features, self.targets = stored["known"], stored["features"], stored["targets"]
            except Exception as error:  # there is no end to what a damaged file can raise
                log.warning("%s is damaged, so the backbone is asked anew (%s)", path, str(error).partition("\n")[0])

    @torch.inference_mode(False)  # what is allocated in a validation pass must be writable in training too
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
        features = self.features[slots].transpose(0, 1).flatten(0, 1).to(device)
        return features, None if self.targets is None else self.targets[slots].transpose(0, 1).flatten(0, 1).to(device)

    def save(self):
        """Replace the file by what is known now. Where there is no room for it, the next job asks the backbone itself."""
        if not (self.path and self.changed):
            return
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

    def still(self, original, pixels, rows, ask):
        """Features (B, F) of pictures as they are or mirrored.

        original, pixels: (B, 1, H, W) uint8, before and after the flips; ask(pixels) -> features, for those that are new
        """
        mirrored = (original != pixels).flatten(1).any(1).cpu()
        slots = rows.cpu() + self._pictures * mirrored
        new = ~self._stills.known[slots]
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
        return table.recall(rows.cpu(), rows.device) if table.known[rows.cpu()].all() else None

    def keep_epoch(self, rows, features, targets):
        """The features and targets of the training batch that `recall_epoch` did not know."""
        if self._epochs is not None:
            self._epoch[1].keep(rows.cpu(), features, targets)

    def save(self):
        """Let other jobs, and another try at this one, have what is new."""
        self._stills.save()
        if self._epoch is not None:
            self._epoch[1].save()


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
