"""The record of a run as it trains: a row of metrics.csv and a line on the screen per epoch."""

import logging
import time

from lightning.pytorch.callbacks import Checkpoint

from fer_lightning.runs.metrics_csv import append_metrics, read_metrics

log = logging.getLogger(__name__)


class EpochRecord(Checkpoint):
    """Appends each epoch to metrics.csv and logs it in one line; counts images and seconds of training, over all phases.

    It is a `Checkpoint` because Lightning calls these last, when all scores of the epoch are known.
    """

    def __init__(self, folder):
        self.folder = folder
        self.images = 0
        self.seconds = 0.0
        self._images = 0
        self._started = None

    def state_dict(self):
        return {"images": self.images, "seconds": self.seconds}

    def load_state_dict(self, state):
        self.images, self.seconds = state["images"], state["seconds"]

    def on_train_start(self, trainer, module):
        self._start_clock()  # a run that continues in the middle of an epoch counts from there

    def on_train_epoch_start(self, trainer, module):
        self._start_clock()

    def _start_clock(self):
        self._started = time.perf_counter()
        self._images = 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._images += len(batch[2])  # images, not the crops that augmentation may make of each

    def on_validation_start(self, trainer, module):
        self._stop_clock()

    def on_train_epoch_end(self, trainer, module):
        self._stop_clock()
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        old = {}
        if (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch:  # not validated: what Lightning holds is of an earlier epoch
            old = {f"val/{name.removeprefix('train/')}": "" for name in metrics if name.startswith("train/")}
            metrics = {name: value for name, value in metrics.items() if not name.startswith("val/")}
        append_metrics(self.folder, {"epoch": trainer.current_epoch, "step": trainer.global_step, **metrics, **old})
        scores = [  # short enough for a line of 80 columns
            f"{part} {100 * metrics[f'{part}/accuracy']:.1f} %, loss {metrics[f'{part}/loss']:.3f}"
            for part in ("train", "val")
            if f"{part}/accuracy" in metrics
        ]
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        log.info("%s", "  ".join([epoch, *scores, f"{self._epoch_seconds:.0f} s"]))

    def _stop_clock(self):
        """Training ends when validation starts; without a validation part, at the end of the epoch."""
        if self._started is not None:
            self._epoch_seconds = time.perf_counter() - self._started
            self._started = None
            self.images += self._images
            self.seconds += self._epoch_seconds


def epoch_scores(folder, epoch, part):
    """The scores {name: value} of a part (train or val) in the row of metrics.csv of an epoch."""
    row = next(row for row in read_metrics(folder) if row["epoch"] == epoch)
    return {name.removeprefix(f"{part}/"): value for name, value in row.items() if name.startswith(f"{part}/")}
