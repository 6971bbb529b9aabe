"""The one LightningModule: a backbone and a head, their steps, scores and optimizer."""

from collections.abc import Callable, Sequence

import torch
from lightning import LightningModule
from torch import nn

from fer_lightning.model.metrics import Predictions, score
from fer_lightning.process import ranks
from fer_lightning.training.phases import Phase, freeze
from fer_lightning.transforms.prepare import prepare
from fer_lightning.transforms.views import Views

# Kinds of random numbers of a batch: all processes draw the same augmentation, each its own dropout, of kind DROPOUT + rank.
AUGMENTATION, DROPOUT = range(2)

# Keys of a checkpoint that hold weights: those that were validated and, if these are averages, those that train.
STATES = {"state_dict", "current_model_state"}


class FERModule(LightningModule):
    """Trains any backbone that keeps the contract of `fer_lightning.model.backbones` with any head, one `Phase` at a time.

    loss:    (logits, targets) -> scalar
    augment: (pixels (B, 1, H, W) uint8, labels (B,) or (B, 7)) -> (pixels, targets, ...), in training only, such as an `Augment`
    views:   the `Views` of an image that evaluation averages over; may be replaced between passes
    seed:    augmentation and dropout of a batch are a function of (seed, epoch, batch) alone, dropout also of the process
    sizes:   sizes to train at, in pixels, each for an equal share of a phase's epochs; none: always the backbone's own

    If several processes share a job, each computes the logits of its share of a batch (`fer_lightning.process.ranks`); the scores are the
    same in all of them. `frozen` may be set to the `FrozenBackbone` of a phase that freezes the backbone; it then computes the features.

    Logs train/*, val/* and lr once an epoch. After a pass, `val_predictions.compute()` and `test_predictions.compute()` hold its logits.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        loss: Callable | None,
        *,
        augment: Callable | None,
        views: Views,
        channels_last: bool = True,
        seed: int = 0,
        sizes: Sequence[int] = (),
    ):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.augment = augment
        self.views = views
        self.frozen = None
        self.train_predictions = Predictions()
        self.val_predictions = Predictions()
        self.test_predictions = Predictions()
        self._in_eval_mode = []
        self._untouched = False
        self.channels_last = channels_last
        self._seed = seed
        self._sizes = sizes
        if channels_last:
            self.to(memory_format=torch.channels_last)

    def enter(self, phase: Phase, untouched: bool = False) -> None:
        """Freeze what the phase freezes; the next fit builds the optimizer and schedule of the phase.

        untouched: whether the backbone still has the weights it was built with and keeps them; checkpoints of training then omit it
        """
        self.phase = phase
        self._untouched = untouched
        self._in_eval_mode = freeze(self.backbone, phase.freeze)
        self.train()

    def train(self, mode=True):
        super().train(mode)
        for module in self._in_eval_mode:
            module.eval()
        return self

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (B, 7) of prepared images (B, channels, size, size) or of features (B, num_features)."""
        return self.head(inputs if inputs.ndim == 2 else self.backbone(inputs))

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """The backbone's features (V B, num_features) of images (B, 1, 48, 48): all first views, then all second ones."""
        return self.backbone(self._prepare(self.views.expand(pixels)))

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits (B, 7) of images (B, 1, 48, 48), uint8 or float in [0, 255], averaged over their views."""
        return self.views.merge(self.head(self.features(pixels)))

    def on_after_batch_transfer(self, batch, dataloader_idx):
        """(pixels, labels, rows) of a batch to (this process's share of the inputs of `forward`, targets, rows)."""
        pixels, labels, rows = batch
        if self.trainer.training:
            self._seed_random_numbers(AUGMENTATION)
            if self.frozen:
                return *self.frozen.training(batch, self.augment, self.current_epoch), rows
            pixels, targets, *_ = self.augment(pixels, labels)
            return prepare(ranks.share(pixels, len(rows)), self._training_spec(), self.channels_last), targets, rows
        pixels, own_rows = (ranks.share(part, len(rows)) for part in (pixels, rows))
        if self.frozen:
            return self.frozen.evaluation(pixels, own_rows, self.views), labels, rows
        return self._prepare(self.views.expand(pixels)), labels, rows

    def _training_spec(self):
        """The input that the backbone expects, but of the size that this epoch trains at."""
        spec = self.backbone.input_spec
        if not self._sizes:
            return spec
        passed = self.phase.epochs - (self.trainer.max_epochs - self.current_epoch)
        return spec._replace(size=self._sizes[passed * len(self._sizes) // self.phase.epochs])

    def _prepare(self, pixels):
        return prepare(pixels, self.backbone.input_spec, self.channels_last)

    def _seed_random_numbers(self, kind):
        """Seed the generator for this batch, so that neither an interruption before it nor a cached augmentation changes it."""
        batch_idx = self.trainer.fit_loop.epoch_loop.batch_idx
        seed = hash((self._seed, self.current_epoch, batch_idx, kind)) % 2**63
        # torch.manual_seed also records a stack trace for each kind of accelerator that is not in use: 0.2 ms.
        (torch.default_generator.manual_seed if self.device.type == "cpu" else torch.manual_seed)(seed)

    def training_step(self, batch, batch_idx):
        inputs, targets, rows = batch
        self._seed_random_numbers(DROPOUT + ranks.rank())
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
        self._log_scores("train", self.train_predictions)
        self.log("lr", self._rate)  # the rate that was used last; the schedule has already set the next one

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
        """Add the backbone that a checkpoint of training has omitted."""
        own = self.backbone.state_dict(prefix="backbone.")
        if not any(name in checkpoint["state_dict"] for name in own):
            for key in STATES & checkpoint.keys():
                checkpoint[key] = own | checkpoint[key]

    def configure_optimizers(self):
        optimizer = self.phase.optimizer([p for p in self.parameters() if p.requires_grad])
        schedule = self.phase.schedule
        # Epochs are counted over all phases; a schedule lasts as long as its phase.
        per_epoch = self.trainer.estimated_stepping_batches // self.trainer.max_epochs if schedule.interval == "step" else 1
        total = per_epoch * self.phase.epochs
        scheduler = {"scheduler": schedule.build(optimizer, total), "interval": schedule.interval}
        if schedule.monitor:
            scheduler["monitor"] = schedule.monitor
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
