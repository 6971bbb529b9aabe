"""The composition root: a config becomes live objects, these are fitted and tested once, and the run folder is written."""

import json
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import seed_everything
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from torch.utils.flop_counter import FlopCounterMode

from fer_lightning.config.identity import training_config
from fer_lightning.config.targets import check_targets
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import CLASSES, SIZE
from fer_lightning.data.near_twins import photo_ids
from fer_lightning.loggers import mirrors
from fer_lightning.model.compiling import compile_nets
from fer_lightning.model.precision import is_emulated, pick_precision
from fer_lightning.process import ranks
from fer_lightning.process.errors import ConfigError
from fer_lightning.process.first_process import is_first
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.runs.layout import clear, drop_unfinished
from fer_lightning.runs.metrics_csv import cut_metrics
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.training.build import build_module, build_monitor, build_phases, build_trainer
from fer_lightning.training.checkpoints import keep_selected, read_last
from fer_lightning.training.environment import environment
from fer_lightning.training.epoch_record import EpochRecord
from fer_lightning.training.evaluate import evaluate
from fer_lightning.training.fit import epoch_scores, fit, load_selected
from fer_lightning.training.frozen_features import digest
from fer_lightning.training.phases import is_untouched
from fer_lightning.training.resume import KEY
from fer_lightning.training.timing import timed_pass
from fer_lightning.transforms.prepare import prepare

log = logging.getLogger(__name__)

ON_OOM = ("fail", "halve")

# Remarks that hold for every run here and that no user can act on.
NOISE = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*is deprecated.*",
    ".*WeightAveraging callback.*",
    ".*overridden `on_after_batch_transfer`.*",
    ".*in eval mode at the start of training.*",
    ".*sync_dist=True.*",  # what is logged is the same on every process
    ".*`srun` command is available.*",
    ".*Total length of `list` across ranks is zero.*",
    ".*your dataloader is not resumable.*",
    ".*`srun` command is available.*",
)


def train(cfg, folder, job, name, group, shared=None):
    """Train and test one job, and write its run folder; a job that an earlier try left unfinished goes on from its last checkpoint.

    folder:      the run folder, which exists
    job:         what result.json says of the job: id, study, cell, seed, overrides
    name, group: of the run in the loggers
    shared:      folder for what jobs of the same sweep can share; None where there is nobody to share with

    Where memory runs out, on_oom=halve tries once more with half the batch and twice as many batches to a step, unless several processes
    share the job.

    Returns what result.json then holds. Raises UserError for what the user can mend, in the config or the data.
    """
    quieten()
    keep_freed_memory()
    check_targets(cfg)
    if cfg.on_oom not in ON_OOM:
        raise ConfigError(f"on_oom={cfg.on_oom}: choose {' or '.join(ON_OOM)}.")
    previous = earlier_try(folder, job)
    accumulate = previous["batch"]["accumulate"] if previous else 1
    try:
        return _try(cfg, Path(folder), job, name, group, shared, previous, accumulate)
    except (MemoryError, RuntimeError) as error:
        allowed = cfg.on_oom == "halve" and accumulate == 1 and cfg.batch_size >= 4 and ranks.count() == 1
        if not allowed or not (isinstance(error, MemoryError) or is_oom_error(error)):
            raise
    # Outside the `except`: the error's frames hold what took the memory.
    garbage_collection_cuda()
    log.warning("out of memory with batch_size=%d: once more from the start with half of it, two to a step", cfg.batch_size)
    return _try(cfg, Path(folder), job, name, group, shared, None, 2)


def earlier_try(folder, job):
    """The result.json of an unfinished try at the same job, None where there is none to go on with."""
    previous = read_result(folder)
    same = previous is not None and previous["job"]["id"] == job["id"] and "batch" in previous
    return previous if same and previous["status"] != "done" else None


def _try(cfg, folder, job, name, group, shared, previous, accumulate):
    """One try at a job. previous: what result.json holds of an earlier one; accumulate: into how many parts a batch is split."""
    start = time.perf_counter()
    seed_everything(cfg.seed, verbose=False)

    faces = instantiate(cfg.data)
    split = instantiate(cfg.protocol)(faces)
    sizes = {"batch_size": cfg.batch_size // accumulate, "eval_batch_size": max(1, cfg.eval_batch_size // accumulate)}
    data = FERDataModule(faces, split, **sizes, seed=cfg.seed)
    photos = None if cfg.near_twins is None else photo_ids(faces.pixels, cfg.near_twins)
    sizes = [len(part) for part in (split.train, split.val, split.test)]
    log.info("%s, verdict %s, protocol %s: %d train, %d val, %d test", faces.source, faces.verdict, split.protocol, *sizes)
    module = build_module(cfg, data.class_counts)
    phases = build_phases(cfg)
    module.enter(phases[0])
    precision = pick_precision(cfg.precision, module.backbone, phases)
    if is_emulated(precision):
        log.warning("precision=%s is emulated on this machine, which takes several times as long: precision=auto is faster", precision)
    record = {
        "status": "running",
        "job": job,
        "protocol": split.protocol,
        "data": {
            "source": faces.source,
            "verdict": faces.verdict,
            "labels": faces.label_set,
            "fingerprint": faces.fingerprint,
            "near_twins": cfg.near_twins,
            "counts": {part: _counts(faces.labels[getattr(split, part)]) for part in ("train", "val", "test")},
        },
        "model": {"backbone": cfg.backbone["_target_"], **describe(module)},
        "batch": {"size": data.batch_size, "accumulate": accumulate},
        "environment": environment() | {"precision": precision},
    }
    if is_untouched(phases, 0):
        # Checkpoints of training leave these out, so whoever goes on must have the same.
        record["model"]["frozen_weights"] = digest(module.backbone.state_dict())
    saved = _saved(folder, previous, record)
    ranks.wait()  # the first process is about to write what the others have just read
    if saved is None:
        clear(folder)
    else:
        came = {"epochs": saved[KEY]["epochs"], "step": saved["global_step"], "at": record["environment"]["started"]}
        cut_metrics(folder, came["epochs"])
        start -= saved[KEY]["seconds"]
        record |= {"resumed": [*previous.get("resumed", ()), came], "mirrors": previous.get("mirrors", {})}
        log.info("goes on after %d epochs, at step %d", came["epochs"], came["step"])
    write_result(folder, record)
    if cfg.compile:
        compile_nets(module)

    labels = {"study": group, **job["cell"], "protocol": split.protocol, "verdict": faces.verdict}
    ids = record.get("mirrors", {})
    about = {"folder": str(folder), "name": name, "labels": labels}
    nodes = cfg.logger.items() if is_first() else ()
    loggers = {key: instantiate(node, **about, run_id=ids.get(key)) for key, node in nodes}
    record["mirrors"] = {key: logger.version for key, logger in loggers.items()}
    write_result(folder, record)
    succeeded = False
    try:
        for logger in loggers.values():
            logger.log_hyperparams(mirrors.config(training_config(cfg), job, record["model"]))
        epochs = EpochRecord(folder)
        monitor = build_monitor(cfg, data, folder)
        frozen_weights = record["model"].get("frozen_weights")
        senders = list(loggers.values())
        last = fit(cfg, module, data, phases, folder, senders, epochs, monitor, start, saved, accumulate, shared, frozen_weights)
        fit_s = time.perf_counter() - start

        test_start = time.perf_counter()
        checkpoint, selected = load_selected(module, folder, last, cfg.monitor if data.selects else None)
        keep_selected(folder, checkpoint)
        metrics = evaluate(build_trainer(cfg, precision), module, data, faces, instantiate(cfg.evaluation), folder, photos)
        metrics["train"] = epoch_scores(folder, selected["epoch"], "train")
        test_s = time.perf_counter() - test_start
        timed = {}
        if cfg.timed_passes and len(split.test) and is_first():
            timed = timed_pass(module, data, cfg.timed_passes, precision == "bf16-mixed")
        record |= {
            "status": "done",
            "selected": selected,
            "metrics": metrics,
            "stability": monitor.summary(),
            "time": {
                "fit_s": round(fit_s, 3),
                "test_s": round(test_s, 3),
                "total_s": round(time.perf_counter() - start, 3),
                "images_per_s": round(epochs.images / epochs.seconds, 1),
                **timed,
            },
        }
        write_result(folder, record)
        drop_unfinished(folder)
        mirrors.show(loggers.values(), folder, record)
        succeeded = True
    finally:
        if module.features is not None:
            module.features.save()  # however the job ends: others may be waiting for them
        mirrors.close(loggers.values(), succeeded)
    return record


def _saved(folder, previous, record):
    """The checkpoint to go on from; None to start anew, because there is none or the data or the model are no longer what they were."""
    if previous is None:
        return None
    changed = [part for part in ("data", "model") if previous.get(part) != json.loads(json.dumps(record[part]))]
    if changed:
        log.warning("the %s changed since this job was stopped, so it starts anew", " and the ".join(changed))
        return None
    return read_last(folder)


@torch.no_grad()
def describe(module):
    """Parameters, trainable ones, and floating-point operations of one picture's forward pass (a multiply-add counts as two)."""
    spec = module.backbone.input_spec
    picture = prepare(torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8, device=next(module.parameters()).device), spec)
    module.eval()
    with FlopCounterMode(display=False) as flops:
        module(picture)
    module.train()
    parameters = list(module.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "flops": flops.get_total_flops(),
        "input": [spec.channels, spec.size, spec.size],
    }


def _counts(labels):
    return dict(zip(CLASSES, np.bincount(labels, minlength=len(CLASSES)).tolist(), strict=True))


def quieten():
    """Leave out the remarks of Lightning and torch that hold for every run."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
