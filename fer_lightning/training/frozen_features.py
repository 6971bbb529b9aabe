"""Cache of a frozen backbone's features: each image passes through it once, however many epochs or jobs use it.

Two kinds of tables hold the features:

    stills      of every image as it is and mirrored: for evaluation, and for training without augmentation or with flips alone
    epoch-<e>   of the augmented images of one epoch, with their targets, which are a function of (seed, epoch, batch)

Jobs of a sweep that differ only behind the backbone find the same tables, so only the first one computes. One job fills a table at a time;
a job that needs it meanwhile waits.
"""

from dataclasses import asdict

import torch

from fer_lightning.process import ranks
from fer_lightning.process.memory import give_back
from fer_lightning.training.feature_table import Table, content_digest
from fer_lightning.transforms.geometry import mirror
from fer_lightning.transforms.prepare import prepare


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
            # Images are mirrored when they pass through the backbone, once; in every batch it was a seventh of a head's time.
            mirrored = augment.draw_flips(pixels)
            return self._of_stills(*(ranks.share(part, len(rows)) for part in (pixels, rows, mirrored))), labels
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
        if views.size not in (None, pixels.shape[-1]):
            return self._compute(views.expand(pixels))
        mirrored = views.mirrored.to(pixels.device).repeat_interleave(len(rows))
        return self._of_stills(pixels.repeat(views.count, 1, 1, 1), rows.repeat(views.count), mirrored)

    def _of_stills(self, pixels, rows, mirrored):
        """Features (B, F) of images (B, 1, H, W) uint8, of their mirror images where `mirrored` (B,) says so; rows (B,)."""
        slots = rows.cpu() + self._images * mirrored.cpu()
        new = self._stills.lacks(slots)
        if new.any():
            chosen = new.to(pixels.device)
            self._stills.keep(slots[new], self._compute(mirror(pixels[chosen], mirrored[chosen])))
        return self._stills.recall(slots, pixels.device)[0]

    def _of_augmented(self, batch, augment):
        pixels, labels, rows = batch
        pixels, targets, *_ = augment(pixels, labels)
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
