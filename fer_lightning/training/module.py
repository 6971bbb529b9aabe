"""The one LightningModule: a backbone and a head, their steps, their scores, their optimizer."""

import torch
from lightning import LightningModule

from fer_lightning.model.metrics import Predictions, score
from fer_lightning.process import ranks
from fer_lightning.training.phases import freeze
from fer_lightning.transforms.prepare import prepare

# What is drawn for a batch: the augmentation by all processes alike, the dropout by each for itself, DROPOUT + its rank.
AUGMENTATION, DROPOUT = range(2)

# Where a checkpoint has weights: as they were validated and, where these are averaged, as they train.
STATES = {"state_dict", "current_model_state"}


class FERModule(LightningModule):
    """Trains any backbone that keeps the contract of `fer_lightning.model.backbones` with any head, one `Phase` at a time.

    loss:    (logits, labels) -> scalar
    augment: (pixels (B, 1, H, W) uint8, labels (B,) or (B, 7)) -> (pixels, targets), in training only; they may be soft, several a picture
    views:   the `Views` that evaluation takes of each picture; may be replaced between passes
    seed:    augmentation and dropout of a batch are a function of (seed, epoch, batch) alone, the dropout also of the process
    sizes:   that pictures are trained at, in pixels, each for an equal share of a phase's epochs; none: the backbone's own throughout

    Of several processes each computes the logits of its share of a batch (`fer_lightning.process.ranks`); the scores of all are the same.

    `features`, where it is set, are the `Features` of a backbone that stands still: it is then asked once for each picture.

    Logs train/*, val/* and lr once an epoch. After a pass `val_predictions.compute()` and `test_predictions.compute()` hold its logits.
    """

    def __init__(self, backbone, head, loss, augment, views, channels_last=True, seed=0, sizes=()):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.augment = augment
        self.views = views
        self.features = None
        self.train_predictions = Predictions()
        self.val_predictions = Predictions()
        self.test_predictions = Predictions()
        self._still = []
        self._untouched = False
        self.channels_last = channels_last
        self._seed = seed
        self._sizes = sizes
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def enter(self, phase, untouched=False):
        """Freeze what the phase freezes; the next fit builds its optimizer and schedule.

        untouched: whether the backbone is, throughout the phase, what it was built as; checkpoints of training then leave it out
        """
        self.phase = phase
        self._untouched = untouched
        self._still = freeze(self.backbone, phase.freeze)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def forward(self, inputs):
        """Logits (B, 7) of prepared pictures (B, channels, size, size), or of the features (B, num_features) the backbone has of them."""
        return self.head(inputs if inputs.ndim == 2 else self.backbone(inputs))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        pixels, labels, rows = batch
        if self.trainer.training:
            self._seed_draws(AUGMENTATION)
            inputs, labels = self._training_inputs(pixels, labels, rows)
        else:
            views = self.views.expand(pixels)
            # Features are kept of whole pictures only.
            if self.features is None or views.shape[1:] != pixels.shape[1:]:
                inputs = self._prepare(ranks.share(views, len(rows)))
            else:
                inputs = self._still_features(pixels, views, rows)
        return inputs, labels, rows

    def _training_inputs(self, pixels, labels, rows):
        if self.features is None:
            pixels, labels = self.augment(pixels, labels)
            return prepare(ranks.share(pixels, len(rows)), self._training_spec(), self.channels_last), labels
        if self.features.flips_only:
            flipped, labels = self.augment(pixels, labels)
            return self._still_features(pixels, flipped, rows), labels
        known = self.features.recall_epoch(self.current_epoch, rows)
        if known is None:
            pixels, labels = self.augment(pixels, labels)
            known = self._ask(ranks.share(pixels, len(rows))), labels
            self.features.keep_epoch(rows, *known)
        return known

    def _still_features(self, pixels, shown, rows):
        """Features of this process's share. pixels: (B, 1, H, W) as they are; shown: (V B, 1, H, W), flipped or not; rows: (B,)."""
        views = len(shown) // len(rows)
        mirrored = None
        if shown is not pixels:
            mirrored = (shown.unflatten(0, (views, -1)) != pixels).flatten(2).any(2).flatten()
            mirrored = ranks.share(mirrored, len(rows))
        return self.features.still(ranks.share(shown, len(rows)), mirrored, ranks.share(rows.repeat(views), len(rows)), self._ask)

    def still_features(self, pixels, rows):
        """Features (B, num_features) that evaluation, by one view, has of pictures (B, 1, 48, 48); what is known is not asked for."""
        shown = self.views.expand(pixels)
        if self.features is None or shown.shape != pixels.shape:
            return self._ask(shown)
        return self.features.still(shown, None, rows, self._ask)

    def _training_spec(self):
        """What the backbone expects, but of the size that this phase has come to."""
        spec = self.backbone.input_spec
        if not self._sizes:
            return spec
        passed = self.phase.epochs - (self.trainer.max_epochs - self.current_epoch)
        return spec._replace(size=self._sizes[passed * len(self._sizes) // self.phase.epochs])

    def _prepare(self, pixels):
        return prepare(pixels, self.backbone.input_spec, self.channels_last)

    def _ask(self, pixels):
        """The features of pictures from a backbone that stands still."""
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            return self.backbone(self._prepare(pixels))

    def _seed_draws(self, kind):
        """Fix the draws of this batch, however often the run was interrupted before it and whether or not it needed augmentation."""
        batch_idx = self.trainer.fit_loop.epoch_loop.batch_idx
        seed = hash((self._seed, self.current_epoch, batch_idx, kind)) % 2**63
        # torch.manual_seed also leaves word, with a stack trace, for each kind of accelerator that is not in use: 0.2 ms.
        (torch.default_generator.manual_seed if self.device.type == "cpu" else torch.manual_seed)(seed)

    def training_step(self, batch, batch_idx):
        inputs, targets, rows = batch
        self._seed_draws(DROPOUT + ranks.rank())
        logits = ranks.gather(self(inputs).float(), len(rows))
        loss = self.loss(logits, targets)
        hard = targets if targets.ndim == 1 else targets.argmax(1)
        self.train_predictions.update(logits, hard, rows.repeat(len(logits) // len(rows)))
        self._rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return loss

    def validation_step(self, batch, batch_idx):
        inputs, labels, rows = batch
        self.val_predictions.update(ranks.gather(self.views.merge(self(inputs)), len(rows)), labels, rows)

    def test_step(self, batch, batch_idx):
        inputs, labels, rows = batch
        self.test_predictions.update(ranks.gather(self.views.merge(self(inputs)), len(rows)), labels, rows)

    def on_test_epoch_start(self):
        self.test_predictions.reset()

    def on_train_epoch_start(self):
        self.train_predictions.reset()

    def on_train_epoch_end(self):
        if self.features is not None:
            self.features.save()
        self._log_scores("train", self.train_predictions)
        self.log("lr", self._rate)  # the rate last used; the schedule has moved on

    def on_validation_epoch_start(self):
        self.val_predictions.reset()
        ranks.align(self)

    def on_validation_epoch_end(self):
        self._log_scores("val", self.val_predictions)

    def _log_scores(self, part, predictions):
        logits, labels, _ = predictions.compute()
        self.log_dict({f"{part}/{name}": value for name, value in score(logits, labels).items()})

    def on_save_checkpoint(self, checkpoint):
        if self._untouched:
            for key in STATES & checkpoint.keys():
                checkpoint[key] = {name: value for name, value in checkpoint[key].items() if not name.startswith("backbone.")}

    def on_load_checkpoint(self, checkpoint):
        """Put the backbone back that a checkpoint of training has left out."""
        own = self.backbone.state_dict(prefix="backbone.")
        if not any(name in checkpoint["state_dict"] for name in own):
            for key in STATES & checkpoint.keys():
                checkpoint[key] = own | checkpoint[key]

    def configure_optimizers(self):
        optimizer = self.phase.optimizer([p for p in self.parameters() if p.requires_grad])
        schedule = self.phase.schedule
        # Epochs count on from phase to phase; the schedule lasts as long as its phase.
        per_epoch = self.trainer.estimated_stepping_batches // self.trainer.max_epochs if schedule.interval == "step" else 1
        total = per_epoch * self.phase.epochs
        scheduler = {"scheduler": schedule.build(optimizer, total), "interval": schedule.interval}
        if schedule.monitor:
            scheduler["monitor"] = schedule.monitor
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
