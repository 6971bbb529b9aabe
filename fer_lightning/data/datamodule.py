"""The only LightningDataModule: uint8 batches, each indexed in one call from one tensor in memory."""

from itertools import islice

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from fer_lightning.data.faces import Faces
from fer_lightning.data.ferplus import distribution
from fer_lightning.data.protocols import Split
from fer_lightning.process import ranks
from fer_lightning.process.errors import ConfigError

# BatchNorm cannot train on one image.
LEAST = 2


class FERDataModule(LightningDataModule):
    """Batches of (pixels (B, 1, S, S) uint8, labels (B,), rows (B,)); everything after that runs on the device.

    In training the labels are (B, 7) probabilities if the label set of the faces is ferplus_votes.

    faces, split: images and which of them train, select and test
    seed:         the order of epoch e depends on (seed, e) only, so a resumed run has the same order
    selects:      whether there is a validation part that is held out from training

    Each of several processes gets the full batches. ConfigError if a part has fewer images than there are processes, or training fewer
    than LEAST.
    """

    def __init__(self, faces: Faces, split: Split, *, batch_size: int = 128, eval_batch_size: int = 512, seed: int = 0):
        super().__init__()
        self.pixels = torch.from_numpy(faces.pixels)
        self.labels = torch.from_numpy(faces.labels)
        self.classes = faces.classes
        self.targets = torch.from_numpy(distribution(faces.votes)) if faces.label_set == "ferplus_votes" else self.labels
        self.split = split
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.train_index = split.train
        self.selects = len(split.val) > 0
        for name in ("train", "val", "test"):
            size = len(getattr(split, name))
            if 0 < size < ranks.count():
                raise ConfigError(f"trainer.devices={ranks.count()}: the {name} part has {size} images, fewer than processes.")
        if len(split.train) < LEAST:
            raise ConfigError(f"protocol={split.protocol}: training takes {LEAST} images or more; the train part has {len(split.train)}.")

    def enter(self, phase):
        """Take the training images of a phase: those of training, or of training and validation."""
        merges = phase.data == "train+val"
        self.train_index = np.concatenate([self.split.train, self.split.val]) if merges else self.split.train
        self.selects = len(self.split.val) > 0 and not merges

    @property
    def class_counts(self) -> torch.Tensor:
        """Training images per class, (C,); if the targets are probabilities, their sums."""
        targets = self.targets[torch.from_numpy(self.split.train)]
        return torch.bincount(targets, minlength=len(self.classes)) if targets.ndim == 1 else targets.sum(0)

    def train_dataloader(self) -> DataLoader:
        order = EpochPermutation(len(self.train_index), self.seed)
        return self._loader(self.train_index, NoSmallRest(order, self.batch_size, LEAST * ranks.count()), self.targets)

    def val_dataloader(self) -> DataLoader | list:
        return self._eval_loader(self.split.val) if self.selects else []

    def test_dataloader(self) -> DataLoader:
        return self._eval_loader(self.split.test)

    def _eval_loader(self, index):
        size = max(self.eval_batch_size, ranks.count())
        return self._loader(index, NoSmallRest(range(len(index)), size, ranks.count()), self.labels)

    def _loader(self, index, batches, labels):
        # No worker processes: a batch is one indexing call (0.1 ms for 128 images), less than passing it between processes.
        return DataLoader(Images(self.pixels, labels, index), batch_sampler=batches, collate_fn=lambda batch: batch)


class Images(Dataset):
    """The images of one part. A batch is taken in one call, not image by image."""

    def __init__(self, pixels, labels, index):
        self.pixels = pixels
        self.labels = labels
        self.rows = torch.as_tensor(index)

    def __len__(self):
        return len(self.rows)

    def __getitems__(self, positions):
        rows = self.rows[positions]
        # index_select copies image by image, indexing with brackets pixel by pixel: 0.08 and 0.75 ms for 512 images.
        return self.pixels.index_select(0, rows), self.labels[rows], rows


class EpochPermutation(Sampler):
    """All positions in an order that depends on the seed and the epoch only. Lightning sets the epoch."""

    def __init__(self, length, seed):
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.length

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return iter(torch.randperm(self.length, generator=generator).tolist())


class NoSmallRest(BatchSampler):
    """Batches of which the last has at least `least` images: a smaller rest joins the batch before it.

    least: in training LEAST for each process; in evaluation one
    skip:  how many batches the next pass leaves out, because the run had seen them before it was stopped
    """

    def __init__(self, sampler, batch_size, least):
        super().__init__(sampler, batch_size, drop_last=False)
        self.least = least
        self.skip = 0

    def __iter__(self):
        skip, self.skip = self.skip, 0
        yield from islice(self._batches(), skip, None)  # read at the first batch, not when Lightning makes the iterator

    def _batches(self):
        last = None
        for batch in super().__iter__():
            if last is not None and len(batch) < self.least:
                last = last + batch
                continue
            if last is not None:
                yield last
            last = batch
        if last is not None:
            yield last

    def __len__(self):
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest >= self.least or (rest > 0 and full == 0))
