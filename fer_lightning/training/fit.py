"""The training of a run: phase after phase, from the start or from where it was stopped."""

import logging
from contextlib import contextmanager

from lightning.pytorch.callbacks import LambdaCallback

from fer_lightning.process.signals import between_steps
from fer_lightning.runs.layout import LAST, checkpoints_of
from fer_lightning.training.build import build_callbacks, build_trainer
from fer_lightning.training.checkpoints import best_of, load_selected
from fer_lightning.training.frozen_features import cache_features
from fer_lightning.training.phases import is_untouched
from fer_lightning.training.resume import KEY, Continuation

log = logging.getLogger(__name__)


def fit(attempt, module, data, phases, *, epochs, monitor, saved=None):
    """Train phase after phase. Epochs are counted over all phases; the weights to test are selected within the last phase.

    epochs, monitor: the EpochRecord and the StabilityMonitor, which stay for all phases
    saved:           the checkpoint to continue from

    Returns the phase that ended the run: the last one, or the one in which training diverged.
    """
    cfg, folder = attempt.cfg, attempt.folder
    start, resumed = 0, saved[KEY]["phase"] if saved else None
    began = dict(attempt.previous.get("phases") or {}) if saved else {}
    for number, phase in enumerate(phases):
        if saved and number < resumed:
            data.enter(phase)
            continue
        if number == resumed:
            start = saved[KEY]["start"]
        elif phase.start == "best":
            load_selected(module, folder, phases[number - 1], cfg.monitor if data.selects else None)
        untouched = is_untouched(phases, number)
        data.enter(phase)
        module.enter(phase, untouched)
        module.frozen = None
        if phase.freeze == "all":
            weights = attempt.record["model"]["frozen_weights"] if untouched else None
            module.frozen = cache_features(module, data, shared=attempt.shared, precision=attempt.precision, weights=weights)
        if len(phases) > 1:
            attempt.write(phases=began | {phase.name: start})
            began = attempt.record["phases"]
            log.info("phase %s: %d epochs, frozen: %s, on %s", phase.name, phase.epochs, phase.freeze, phase.data)
        callbacks = [epochs, monitor, *attempt.bars, *attempt.callbacks, *build_callbacks(cfg, data.selects, best_of(folder, phase))]
        if module.frozen:
            callbacks.append(LambdaCallback(on_train_epoch_end=lambda *_: module.frozen.save()))
        callbacks.append(Continuation(folder, number, start, attempt.began))
        trainer = build_trainer(
            cfg,
            attempt.precision,
            loggers=attempt.loggers.values(),
            callbacks=callbacks,
            max_epochs=start + phase.epochs,
            accumulate=attempt.accumulate,
        )
        # Lightning moves it after weight averaging has copied it; the average would then be computed on the CPU at every step.
        module.to(trainer.strategy.root_device)
        count_from(trainer, start)
        with between_steps(), progress_in_errors(phase, trainer):
            trainer.fit(module, data, ckpt_path=checkpoints_of(folder) / LAST if number == resumed else None)
        start = trainer.current_epoch
        if module.frozen:
            module.frozen.save()
        if monitor.diverged:
            log.warning("diverged: loss or gradient became NaN or infinite; stopped at step %d", trainer.global_step)
            break
    return phase


def count_from(trainer, epoch):
    """Have a trainer count its epochs from this one."""
    progress = trainer.fit_loop.epoch_progress.current
    progress.ready = progress.started = progress.processed = progress.completed = epoch


@contextmanager
def progress_in_errors(phase, trainer):
    """An error from in here says how far the training had come."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in phase {phase.name}, epoch {trainer.current_epoch + 1}, after step {trainer.global_step}")
        raise
