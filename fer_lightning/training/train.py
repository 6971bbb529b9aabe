"""One job from its config to its run folder: build the live objects, fit them phase after phase, test once, write the record."""

import logging
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from lightning import seed_everything
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error

from fer_lightning.config.checks import check_clipping, check_config
from fer_lightning.config.identity import shown_config
from fer_lightning.config.targets import build, check_targets
from fer_lightning.config.trainer_keys import check_validation
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import check_faces
from fer_lightning.data.near_twins import photo_ids
from fer_lightning.data.twins import clean_test
from fer_lightning.loggers import mirrors
from fer_lightning.model.compiling import compile_nets
from fer_lightning.model.description import describe
from fer_lightning.model.precision import full_name, is_emulated, pick_precision
from fer_lightning.process import ranks
from fer_lightning.process.first_process import is_first
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.runs.layout import drop_unfinished
from fer_lightning.training.attempt import Attempt
from fer_lightning.training.build import (
    build_module,
    build_monitor,
    build_phases,
    build_trainer,
    check_crops,
    check_limits,
    check_steps,
    own_callbacks,
)
from fer_lightning.training.checkpoints import keep_selected, load_selected
from fer_lightning.training.environment import environment
from fer_lightning.training.epoch_record import EpochRecord, epoch_scores
from fer_lightning.training.evaluate import evaluate
from fer_lightning.training.feature_table import content_digest
from fer_lightning.training.fit import fit
from fer_lightning.training.phases import is_untouched
from fer_lightning.training.quieten import quieten
from fer_lightning.training.resume import continue_or_clear, unfinished_attempt
from fer_lightning.training.threads import own_threads, set_threads
from fer_lightning.training.timing import timed_pass

log = logging.getLogger(__name__)


def train(cfg, folder, job, *, name, group, shared=None, bar=False):
    """Train and test one job, and write its run folder. A job that an earlier attempt left unfinished continues from its last checkpoint.

    folder:      the run folder, which exists
    job:         what result.json says of the job: id, study, cell, seed, overrides
    name, group: of the run in the loggers
    shared:      folder for what jobs of the same sweep can share; None: there are no other jobs
    bar:         whether to show how far a pass over the data is

    If memory runs out, on_oom=halve tries once more with half the batch and twice as many batches to a step, unless several processes
    share the job.

    Returns what result.json then holds. Raises UserError for what the user can mend, in the config or the data.
    """
    quieten()
    keep_freed_memory()
    check_config(cfg)
    check_validation(cfg)
    check_targets(cfg)
    attempt_with = partial(Attempt, cfg=cfg, folder=Path(folder), job=job, name=name, group=group, shared=shared, bar=bar)
    previous = unfinished_attempt(folder, job)
    accumulate = previous["batch"]["accumulate"] if previous else 1
    try:
        return run(attempt_with(previous=previous, accumulate=accumulate))
    except (MemoryError, RuntimeError) as error:
        may_halve = cfg.on_oom == "halve" and accumulate == 1 and cfg.batch_size >= 4 and ranks.count() == 1
        if not may_halve or not (isinstance(error, MemoryError) or is_oom_error(error)):
            raise
    # Outside the `except`: the frames of the error hold the memory.
    garbage_collection_cuda()
    log.warning("out of memory with batch_size=%d: starting again with half of it, two batches to a step", cfg.batch_size)
    return run(attempt_with(accumulate=2))


@own_threads()
def run(attempt):
    """The stages of an attempt. Returns what result.json then holds."""
    cfg, folder = attempt.cfg, attempt.folder
    seed_everything(cfg.seed, verbose=False)
    attempt.callbacks = own_callbacks(cfg)
    faces, data, photos = load_data(cfg, attempt.accumulate)
    check_limits(cfg.trainer, data)
    module, phases = build_module(cfg, data.class_counts), build_phases(cfg)
    check_steps(phases)
    module.enter(phases[0])
    attempt.record = first_record(attempt, faces=faces, data=data, module=module, phases=phases)
    attempt.record["environment"]["threads"] = set_threads(attempt, module, data)
    saved = continue_or_clear(attempt)
    attempt.write()
    if cfg.compile:
        compile_nets(module)
    with logging_to_mirrors(attempt), saving_features(module):
        epochs, monitor = EpochRecord(folder), build_monitor(cfg, data, folder)
        last = fit(attempt, module, data, phases, epochs=epochs, monitor=monitor, saved=saved)
        fit_s = attempt.seconds
        selected, metrics = test_once(attempt, last, module=module, data=data, faces=faces, photos=photos)
        test_s = attempt.seconds - fit_s
        timed = {}
        if cfg.timed_passes and len(data.split.test) and is_first():
            timed = timed_pass(module, data, cfg.timed_passes, attempt.precision)
        seconds = {"fit_s": round(fit_s, 3), "test_s": round(test_s, 3), "total_s": round(attempt.seconds, 3)}
        seconds["images_per_s"] = round(epochs.images / epochs.seconds, 1)
        attempt.write(status="done", selected=selected, metrics=metrics, stability=monitor.summary(), time=seconds | timed)
        drop_unfinished(folder)
    return attempt.record


def load_data(cfg, accumulate):
    """(faces, data module, ids of near twins (N,) or None if near_twins is null). accumulate: parts that a batch is split into."""
    faces = check_faces(build(cfg.data, "data"), cfg.data["_target_"])
    check_crops(cfg, faces.size)
    split = build(cfg.protocol, "protocol")(faces)
    sizes = {"batch_size": cfg.batch_size // accumulate, "eval_batch_size": max(1, cfg.eval_batch_size // accumulate)}
    data = FERDataModule(faces, split, **sizes, seed=cfg.seed)
    photos = None if cfg.near_twins is None else photo_ids(faces.pixels, cfg.near_twins)
    counts = [len(part) for part in (split.train, split.val, split.test)]
    log.info("%s, verdict %s, protocol %s: %d train, %d val, %d test", faces.source, faces.verdict, split.protocol, *counts)
    if faces.is_own and len(twins := np.flatnonzero(~clean_test(faces.pixels, split))):
        told = "%d of %d test images are identical to one that trains or selects; the scores without them are called clean"
        log.warning(told, len(twins), len(split.test))
    return faces, data, photos


def first_record(attempt, *, faces, data, module, phases):
    """What is known of a run before it trains, for result.json."""
    cfg, split = attempt.cfg, data.split
    accelerator = cfg.trainer.get("accelerator", "auto")
    precision = pick_precision(cfg.precision, module.backbone, phases, accelerator)
    check_clipping(cfg, precision)
    if full_name(cfg.precision) == "16-mixed" != precision:
        log.warning("precision=%s needs a GPU: a CPU computes in bf16-mixed instead, and so the record says", cfg.precision)
    if is_emulated(precision, accelerator):
        log.warning("precision=%s is emulated on this machine, which takes several times as long: precision=auto is faster", precision)
    record = {
        "status": "running",
        "job": attempt.job,
        "protocol": split.protocol,
        "data": {
            "source": faces.source,
            "verdict": faces.verdict,
            "labels": faces.label_set,
            "fingerprint": faces.fingerprint,
            "near_twins": cfg.near_twins,
            "classes": list(faces.classes),
            "size": faces.size,
            "counts": {part: _counts(faces, getattr(split, part)) for part in ("train", "val", "test")},
        },
        "model": {"backbone": cfg.backbone["_target_"], **describe(module)},
        "batch": {"size": data.batch_size, "accumulate": attempt.accumulate},
        "environment": environment() | {"precision": precision},
    }
    if is_untouched(phases, 0):
        # Checkpoints of training omit these weights, so an attempt that continues must have the same.
        record["model"]["frozen_weights"] = content_digest(module.backbone.state_dict())
    return record


def _counts(faces, index):
    return dict(zip(faces.classes, np.bincount(faces.labels[index], minlength=len(faces.classes)).tolist(), strict=True))


@contextmanager
def logging_to_mirrors(attempt):
    """Open the loggers of an attempt, show them the finished run, and close them however the attempt ends."""
    cfg, record, succeeded = attempt.cfg, attempt.record, False
    cell = attempt.job["cell"]
    # A swept protocol keeps the level that was chosen, not the name that the split gives itself.
    labels = {"study": attempt.group, **cell, "protocol": record["protocol"], "verdict": record["data"]["verdict"]} | cell
    about = {"folder": str(attempt.folder), "name": attempt.name, "labels": labels}
    ids = record.get("mirrors", {})
    if is_first():
        attempt.loggers = {key: build(node, f"logger.{key}", **about, run_id=ids.get(key)) for key, node in cfg.logger.items()}
    loggers = attempt.loggers.values()
    attempt.write(mirrors={key: logger.version for key, logger in attempt.loggers.items()})
    try:
        for logger in loggers:
            logger.log_hyperparams(mirrors.config(shown_config(cfg), attempt.job, record["model"]))
        yield
        mirrors.show(loggers, attempt.folder, record)
        succeeded = True
    finally:
        mirrors.close(loggers, succeeded)


@contextmanager
def saving_features(module):
    """Save the features of a frozen backbone however the attempt ends: other jobs may be waiting for them."""
    try:
        yield
    finally:
        if module.frozen:
            module.frozen.save()


def test_once(attempt, last, *, module, data, faces, photos):
    """Load the selected weights of the last phase, write best.ckpt, and score these weights once on val and test.

    Returns ({epoch, monitor, value}: the epoch that is tested, and its score by the monitor; {train, val, test: scores}).
    """
    cfg, folder = attempt.cfg, attempt.folder
    checkpoint, selected = load_selected(module, folder, last, cfg.monitor if data.selects else None, select=cfg.select)
    keep_selected(folder, checkpoint)
    trainer = build_trainer(cfg, attempt.precision, callbacks=attempt.bars)
    metrics = evaluate(trainer, module, data, faces, views=build(cfg.evaluation, "evaluation"), folder=folder, photos=photos)
    return selected, metrics | {"train": epoch_scores(folder, selected["epoch"], "train")}
