"""A run that was stopped continues from its last checkpoint and gives the result of an uninterrupted one, on a CPU bit for bit."""

import time

from lightning.pytorch.callbacks import Checkpoint

from fer_lightning.process import signals as interrupt
from fer_lightning.runs.layout import checkpoints_of
from fer_lightning.training.checkpoints import LAST

# The key of a checkpoint for what Lightning leaves out.
KEY = "continuation"


class Continuation(Checkpoint):
    """Writes last.ckpt at the end of each epoch and, if the run is asked to stop, after the current step.

    run:          the run folder
    phase, start: number of the current phase, and its first epoch
    began:        the start of the run by time.perf_counter, less the seconds that earlier attempts took

    A checkpoint also holds what Lightning leaves out: whether training was about to stop; the score that a plateau scheduler has yet to
    see (Lightning passes it on after the checkpoint is written); and, in the middle of an epoch, the number of its batches so far and
    the predictions in them.

    Several processes of one job do not stop at the same step, so they lose the current epoch.
    """

    def __init__(self, run, phase, start, began):
        self.path = checkpoints_of(run) / LAST
        self.phase = phase
        self.start = start
        self.began = began
        self._mid_epoch = False
        self._left = None

    def on_save_checkpoint(self, trainer, module, checkpoint):
        plateaus = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]
        checkpoint[KEY] = {
            "phase": self.phase,
            "start": self.start,
            "epochs": trainer.current_epoch + (not self._mid_epoch),
            "seconds": time.perf_counter() - self.began,
            "stopping": trainer.should_stop,
            "plateaus": [] if self._mid_epoch else [trainer.callback_metrics[config.monitor].item() for config in plateaus],
            "batches": trainer.fit_loop.batch_idx + 1 if self._mid_epoch else 0,
            "predictions": module.train_predictions.compute() if self._mid_epoch else None,
        }

    def on_load_checkpoint(self, trainer, module, checkpoint):
        self._left = checkpoint[KEY]

    def on_train_start(self, trainer, module):
        if trainer.world_size == 1:
            interrupt.listen()  # Lightning has put a handler of its own in
        if self._left is None:
            return
        left, self._left = self._left, None
        trainer.should_stop = left["stopping"]
        plateaus = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau]
        for config, score in zip(plateaus, left["plateaus"]):
            config.scheduler.step(score)
        if left["batches"]:
            trainer.train_dataloader.batch_sampler.skip = left["batches"]
            module.train_predictions.reset()
            module.train_predictions.update(*(part.to(module.device) for part in left["predictions"]))

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        loop = trainer.fit_loop
        # The last step of an epoch is followed by validation, and that by a checkpoint.
        if interrupt.asked() and not loop._should_accumulate() and not loop.epoch_loop._num_ready_batches_reached():
            self._mid_epoch = True
            trainer.save_checkpoint(self.path)
            interrupt.raise_if_asked()

    def on_train_epoch_end(self, trainer, module):
        trainer.save_checkpoint(self.path)
        interrupt.raise_if_asked()
