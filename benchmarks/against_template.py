"""The compact net in the plain lightning-hydra-template and here: same net, batch, loss, optimizer and schedule, one epoch each in turn.

    python benchmarks/against_template.py [--images 12800] [--batch 128] [--rounds 3] [--precision 32-true,bf16-mixed] [overrides]

The template's side is written here as its users write it: a Dataset that flips and shifts one image at a time, a DataLoader without
workers, a module that logs torchmetrics at each step, a checkpoint of the best epoch. `plain, whole batches` has our augmentation in its
place. On our side one thing is left out at a time: channels_last, averaged weights, the stability monitor (with it the gradient norms).
Images per second from the start of an epoch to its validation; the ratio of a round is by the template's (above 1: we are faster).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from drawn import checkpointing, machine, optimizer_of, training
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision.transforms import v2

from fer_lightning.training.build import build_monitor, build_trainer
from fer_lightning.training.epoch_record import EpochRecord
from fer_lightning.training.quieten import quieten
from fer_lightning.transforms.augment import Augment

NORMALIZE = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.25])]
ARMS = {
    "plain template": ["channels_last=false"],
    "plain, whole batches": ["channels_last=false"],
    "ours": [],
    "ours, without channels_last": ["channels_last=false"],
    "ours, without averaged weights": ["ema_decay=null"],
    "ours, without the monitor": [],
}


class Images(Dataset):
    def __init__(self, pixels, labels, transform):
        self.pixels, self.labels, self.transform = pixels, labels, transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, position):
        return self.transform(self.pixels[position]), self.labels[position]


class Plain(LightningModule):
    """The template's module."""

    def __init__(self, net, steps, augment=None):
        super().__init__()
        self.net, self.steps, self.augment = net, steps, augment
        self.normalize = v2.Compose(NORMALIZE)
        self.criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        self.train_acc, self.val_acc = (MulticlassAccuracy(num_classes=7, average="micro") for _ in range(2))
        self.train_loss, self.val_loss, self.val_acc_best = MeanMetric(), MeanMetric(), MaxMetric()

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        if self.augment and self.trainer.training:
            images, labels = self.augment(images, labels)
        return (self.normalize(images) if images.dtype == torch.uint8 else images), labels

    def _step(self, batch, part):
        images, labels = batch
        logits = self.net(images)
        loss = self.criterion(logits, labels)
        mean, accuracy = getattr(self, f"{part}_loss"), getattr(self, f"{part}_acc")
        mean(loss)
        accuracy(logits.argmax(1), labels)
        self.log(f"{part}/loss", mean, on_step=False, on_epoch=True)
        self.log(f"{part}/acc", accuracy, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch, batch_idx):
        return self._step(batch, "train")

    def validation_step(self, batch, batch_idx):
        self._step(batch, "val")

    def on_validation_epoch_end(self):
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute(), sync_dist=True)

    def configure_optimizers(self):
        optimizer, schedule = optimizer_of(self.parameters(), self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Clock(Callback):
    """Seconds from the start of the epoch to its validation."""

    def on_train_epoch_start(self, trainer, module):
        self.start = time.perf_counter()

    def on_validation_start(self, trainer, module):
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.start


def template(cfg, data, net, folder, *, clock, per_image):
    moves = [v2.RandomHorizontalFlip(), v2.RandomCrop(48, padding=4, padding_mode="reflect"), *NORMALIZE]
    loaders = []
    for part in ("train", "val"):
        transform = v2.Compose(moves if part == "train" else NORMALIZE) if per_image else v2.Identity()
        index = torch.from_numpy(getattr(data.split, part))
        loaders.append(DataLoader(Images(data.pixels[index], data.labels[index], transform), cfg.batch_size, shuffle=part == "train"))
    module = Plain(net, len(loaders[0]), None if per_image else Augment(0.5, 4))
    callbacks = [clock, ModelCheckpoint(folder, monitor="val/acc", mode="max", save_last=True)]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    logger = CSVLogger(folder)
    Trainer(max_epochs=1, precision=cfg.precision, logger=logger, callbacks=callbacks, **quiet).fit(module, *loaders)


def ours(cfg, data, module, folder, *, clock, monitored):
    monitor = [build_monitor(cfg, data, folder)] if monitored else []
    callbacks = [clock, *monitor, EpochRecord(folder), *checkpointing(cfg, folder)]
    trainer = build_trainer(cfg, cfg.precision, callbacks=callbacks, max_epochs=1)
    module.to(trainer.strategy.root_device)
    trainer.fit(module, data)


def rate(arm, precision, arguments):
    """Images per second of one epoch of an arm."""
    own = [f"batch_size={arguments.batch}", f"precision={precision}", "logger=csv"]
    cfg, data, module = training(1, arguments.images, 512, [*own, *ARMS[arm], *arguments.overrides])
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        if arm.startswith("plain"):
            net = torch.nn.Sequential(module.backbone, module.head)
            template(cfg, data, net, Path(folder), clock=clock, per_image=arm == "plain template")
        else:
            ours(cfg, data, module, Path(folder), clock=clock, monitored="monitor" not in arm)
    return arguments.images / clock.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12800)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="32-true,bf16-mixed", help="separated by commas")
    parser.add_argument("overrides", nargs="*", help="config overrides, such as backbone=resnet18")
    arguments = parser.parse_args()
    quieten()
    print(machine())
    for precision in arguments.precision.split(","):
        # The first round warms up.
        rounds = [{arm: rate(arm, precision, arguments) for arm in ARMS} for _ in range(arguments.rounds + 1)][1:]
        for arm in ARMS:
            ratios = sorted(each[arm] / each["plain template"] for each in rounds)
            speed = statistics.median(each[arm] for each in rounds)
            spread = f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
            print(f"{precision:10}  {arm:31} {speed:7.0f} images/s   by the template {spread}", flush=True)


if __name__ == "__main__":
    main()
