"""The training of a run: phase after phase, from the start or from where it was stopped."""

import logging
from contextlib import contextmanager
from dataclasses import asdict

from fer_lightning.model.precision import pick_precision
from fer_lightning.process.signals import between_steps
from fer_lightning.runs.layout import checkpoints_of
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.training.build import build_callbacks, build_trainer
from fer_lightning.training.checkpoints import LAST, best_of, read_checkpoint
from fer_lightning.training.frozen_features import Features, digest
from fer_lightning.training.phases import is_untouched
from fer_lightning.training.resume import KEY, Continuation

log = logging.getLogger(__name__)


def fit(cfg, module, data, phases, folder, loggers, epochs, monitor, began, saved=None, accumulate=1, shared=None, frozen_weights=None):
    """Train phase after phase. Epochs count on; the weights that count in the end are selected within the last phase.

    epochs, monitor: the EpochRecord and the StabilityMonitor, which go through all phases
    began:           when the run began, by time.perf_counter
    saved:           the checkpoint to go on from
    accumulate, shared: as `build_trainer` and `keep_features` want them
    frozen_weights:  `digest` of a backbone that the first phase does not train

    Returns the phase that ended the run: the last one, or that in which it diverged.
    """
    precision = pick_precision(cfg.precision, module.backbone, phases)
    total, left = 0, saved[KEY] if saved else {"phase": 0}
    for number, phase in enumerate(phases):
        if number < left["phase"]:
            data.enter(phase)
            continue
        resumes = saved is not None and number == left["phase"]
        if resumes:
            total = left["start"]
        elif phase.start == "best":
            load_selected(module, folder, phases[number - 1], cfg.monitor if data.selects else None)
        data.enter(phase)
        module.enter(phase, is_untouched(phases, number))
        weights = frozen_weights if is_untouched(phases, number) else None
        module.features = keep_features(module, data, shared, precision, cfg.seed, weights) if phase.freeze == "all" else None
        if len(phases) > 1:
            log.info("phase %s: %d epochs, frozen: %s, on %s", phase.name, phase.epochs, phase.freeze, phase.data)
        others = build_callbacks(cfg, data.selects, best_of(folder, phase))
        callbacks = [epochs, monitor, *others, Continuation(folder, number, total, began)]
        trainer = build_trainer(cfg, precision, loggers, callbacks, total + phase.epochs, accumulate)
        # Lightning moves it after weight averaging has copied it, which would then average on the CPU, step by step.
        module.to(trainer.strategy.root_device)
        past = trainer.fit_loop.epoch_progress.current
        past.ready = past.started = past.processed = past.completed = total
        with between_steps(), told_where(phase, trainer):
            trainer.fit(module, data, ckpt_path=checkpoints_of(folder) / LAST if resumes else None)
        total = trainer.current_epoch
        if module.features is not None:
            module.features.save()
        if monitor.diverged:
            log.warning("diverged: a loss or a gradient was no number, so training stopped at step %d", trainer.global_step)
            break
    return phase


@contextmanager
def told_where(phase, trainer):
    """An error from in here says how far the training had come."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in phase {phase.name}, epoch {trainer.current_epoch + 1}, after step {trainer.global_step}")
        raise


def keep_features(module, data, shared, precision, seed, weights=None):
    """The Features of a backbone that stands still, found again by whatever they depend on.

    shared: folder for what jobs can share, None where there is nobody; weights: `digest` of the backbone's, where it is known
    """
    if shared is None:
        return Features(len(data.pixels), module.augment)
    stills = digest(weights or digest(module.backbone.state_dict()), module.backbone.input_spec, data.pixels, precision)
    draws = digest(stills, asdict(module.augment), data.targets, data.train_index, data.batch_size, seed)
    return Features(len(data.pixels), module.augment, shared / stills, shared / draws)


def load_selected(module, folder, phase, monitor):
    """Load the weights of the epoch that the monitor selected in a phase; of the last epoch where it is None: there is no validation part.

    Returns (the checkpoint, {epoch, monitor, value}).
    """
    checkpoint = read_checkpoint(best_of(folder, phase) if monitor else checkpoints_of(folder) / LAST)
    module.on_load_checkpoint(checkpoint)
    module.load_state_dict(checkpoint["state_dict"])
    value = epoch_scores(folder, checkpoint["epoch"], "val")[monitor.removeprefix("val/")] if monitor else None
    return checkpoint, {"epoch": checkpoint["epoch"], "monitor": monitor, "value": value}


def epoch_scores(folder, epoch, part):
    """The scores of one part that metrics.csv holds for an epoch."""
    row = next(row for row in read_metrics(folder) if row["epoch"] == epoch)
    return {name.removeprefix(f"{part}/"): value for name, value in row.items() if name.startswith(f"{part}/")}
