"""A run that was stopped continues from its last checkpoint and gives the result of an uninterrupted one, on a CPU bit for bit."""

import json
import logging
import time

from lightning.pytorch.callbacks import Checkpoint

from fer_lightning.process import ranks, signals
from fer_lightning.runs.layout import LAST, checkpoints_of, clear
from fer_lightning.runs.metrics_csv import cut_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.checkpoints import read_last

log = logging.getLogger(__name__)

# The key of a checkpoint for what Lightning leaves out.
KEY = "continuation"


def unfinished_attempt(folder, job):
    """The result.json of an unfinished attempt at the same job; None if there is none to continue."""
    previous = read_result(folder)
    same = previous is not None and previous["job"]["id"] == job["id"] and "batch" in previous
    return previous if same and previous["status"] != "done" else None


def continue_or_clear(attempt):
    """The checkpoint to continue from; None, and an empty run folder, if there is none or the data or the model have changed."""
    saved = _last_checkpoint(attempt)
    ranks.wait()  # the first process is about to write what the others have just read
    if saved is None:
        clear(attempt.folder)
        return None
    left = saved[KEY]
    entry = {"epochs": left["epochs"], "step": saved["global_step"], "at": attempt.record["environment"]["started"]}
    cut_metrics(attempt.folder, entry["epochs"])
    attempt.began -= left["seconds"]
    attempt.record |= {"resumed": [*attempt.previous.get("resumed", ()), entry], "mirrors": attempt.previous.get("mirrors", {})}
    log.info("continues after epoch %d, at step %d", entry["epochs"], entry["step"])
    return saved


def _last_checkpoint(attempt):
    previous = attempt.previous
    if previous is None:
        return None
    now = {part: json.loads(json.dumps(attempt.record[part])) for part in ("data", "model")}
    # What a release of before did not record has not changed.
    changed = [part for part in now if now[part] | (previous.get(part) or {}) != now[part]]
    if changed:
        log.warning("the %s changed since this job was stopped, so it starts from the beginning", " and the ".join(changed))
        return None
    return read_last(attempt.folder)


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
            signals.listen()  # Lightning has put a handler of its own in
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
        if signals.pending() and not loop._should_accumulate() and not loop.epoch_loop._num_ready_batches_reached():
            self._mid_epoch = True
            trainer.save_checkpoint(self.path)
            signals.raise_pending()

    def on_train_epoch_end(self, trainer, module):
        trainer.save_checkpoint(self.path)
        signals.raise_pending()
