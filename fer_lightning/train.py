"""The composition root: a config becomes live objects, these are fitted and tested once, and the run folder is written."""

import logging
import os
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import seed_everything
from torch.utils.flop_counter import FlopCounterMode

from fer_lightning import loggers as mirrors
from fer_lightning.build import build_callbacks, build_checkpoints, build_module, build_phases, build_trainer, pick_precision
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import CLASSES, SIZE
from fer_lightning.data.twins import without_twin
from fer_lightning.inputs import prepare
from fer_lightning.metrics import accuracy, confusion, per_class, score
from fer_lightning.progress import EpochRecord
from fer_lightning.record import clear, environment, read_metrics, write_predictions, write_result
from fer_lightning.study.identity import training_config
from fer_lightning.targets import check_targets
from fer_lightning.timing import timed_pass

log = logging.getLogger(__name__)

# Remarks that hold for every run here and that no user can act on.
NOISE = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*is deprecated.*",
    ".*WeightAveraging callback.*",
    ".*overridden `on_after_batch_transfer`.*",
    ".*in eval mode at the start of training.*",
    ".*Total length of `list` across ranks is zero.*",
)


def train(cfg, folder, job, name, group):
    """Train and test one job, and write its run folder.

    folder:      the run folder, which exists
    job:         what result.json says of the job: id, study, cell, seed, overrides
    name, group: of the run in the loggers

    Returns what result.json then holds. Raises UserError for what the user can mend, in the config or the data.
    """
    start = time.perf_counter()
    quieten()
    folder = Path(folder)
    clear(folder)
    check_targets(cfg)
    seed_everything(cfg.seed, verbose=False)

    faces = instantiate(cfg.data)
    split = instantiate(cfg.protocol)(faces)
    data = FERDataModule(faces, split, cfg.batch_size, cfg.eval_batch_size, cfg.seed)
    sizes = [len(part) for part in (split.train, split.val, split.test)]
    log.info("%s, verdict %s, protocol %s: %d train, %d val, %d test", faces.source, faces.verdict, split.protocol, *sizes)
    module = build_module(cfg, data.class_counts)
    phases = build_phases(cfg)
    module.enter(phases[0])
    record = {
        "status": "running",
        "job": job,
        "protocol": split.protocol,
        "data": {
            "source": faces.source,
            "verdict": faces.verdict,
            "fingerprint": faces.fingerprint,
            "counts": {part: _counts(faces.labels[getattr(split, part)]) for part in ("train", "val", "test")},
        },
        "model": {"backbone": cfg.backbone["_target_"], **describe(module)},
        "environment": environment(),
    }
    write_result(folder, record)

    about = {"folder": str(folder), "name": name, "group": group, "labels": [split.protocol, faces.verdict]}
    loggers = [instantiate(node, **about) for node in cfg.logger.values()]
    succeeded = False
    try:
        for logger in loggers:
            logger.log_hyperparams({"cell": job["cell"], "job": job["id"], **training_config(cfg), **record["model"]})
        epochs = EpochRecord(folder)
        fit(cfg, module, data, phases, folder, loggers, epochs)
        fit_s = time.perf_counter() - start

        test_start = time.perf_counter()
        selected = load_selected(module, folder, cfg.monitor if data.selects else None)
        metrics = evaluate(build_trainer(cfg), module, data, faces, instantiate(cfg.evaluation), folder)
        metrics["train"] = _epoch_scores(folder, selected["epoch"], "train")
        test_s = time.perf_counter() - test_start
        timed = {}
        if cfg.timed_passes and len(split.test):
            timed = timed_pass(module, data, cfg.timed_passes, pick_precision(cfg.precision) == "bf16-mixed")
        for logger in loggers:
            logger.log_metrics(_summary(selected, metrics))
        succeeded = True
    finally:
        mirrors.close(loggers, succeeded)
    record |= {
        "status": "done",
        "selected": selected,
        "metrics": metrics,
        "stability": None,
        "time": {
            "fit_s": round(fit_s, 3),
            "test_s": round(test_s, 3),
            "total_s": round(time.perf_counter() - start, 3),
            "images_per_s": round(epochs.images / epochs.seconds, 1),
            **timed,
        },
    }
    write_result(folder, record)
    return record


def fit(cfg, module, data, phases, folder, loggers, epochs):
    """Train phase after phase. Epochs count on; the weights that count in the end are selected within the last phase."""
    total = 0
    for phase in phases:
        if phase.start == "best":
            load_selected(module, folder, cfg.monitor if data.selects else None)
        data.enter(phase)
        module.enter(phase)
        if len(phases) > 1:
            log.info("phase %s: %d epochs, frozen: %s, on %s", phase.name, phase.epochs, phase.freeze, phase.data)
        last, best = build_checkpoints(cfg, folder)
        callbacks = [epochs, *build_callbacks(cfg, data.selects), last, *([best] if data.selects else [])]
        trainer = build_trainer(cfg, loggers, callbacks, total + phase.epochs)
        trainer.fit_loop.epoch_progress.current.processed = trainer.fit_loop.epoch_progress.current.completed = total
        trainer.fit(module, data)
        total = trainer.current_epoch


def load_selected(module, folder, monitor):
    """Load the weights of the epoch that the monitor selected; of the last epoch where it is None, for want of a validation part.

    best.ckpt then keeps these weights alone: the optimizer's state, twice the size, is of use in last.ckpt only.
    Returns {epoch, monitor, value}.
    """
    best = folder / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(best if monitor else best.with_name("last.ckpt"), weights_only=True, map_location="cpu")
    module.load_state_dict(checkpoint["state_dict"])
    part = best.with_name(".best.ckpt")
    torch.save({key: checkpoint[key] for key in ("state_dict", "epoch", "global_step")}, part)
    os.replace(part, best)
    value = _epoch_scores(folder, checkpoint["epoch"], "val")[monitor.removeprefix("val/")] if monitor else None
    return {"epoch": checkpoint["epoch"], "monitor": monitor, "value": value}


def evaluate(trainer, module, data, faces, views, folder):
    """Score the weights as they are on val and test, and write predictions.parquet, from one view of each picture.

    Where `views` asks for several, a second pass adds accuracy_<kind>, from all of them.
    Returns {val: scores, test: scores}; None for a part without pictures or, of val, one that was trained on.
    """
    parts = _predict(trainer, module, data)
    write_predictions(folder, parts)
    metrics = {"val": None, "test": None} | {part: score(logits, labels) for part, (logits, labels, _) in parts.items()}
    if "test" in parts:
        logits, labels, rows = parts["test"]
        clean = _clean(faces, data.split, rows)
        metrics["test"] |= {
            "accuracy_clean": accuracy(logits, labels, clean),
            "n": len(labels),
            "n_clean": int(clean.sum()),
            "per_class": per_class(logits, labels),
            "confusion": confusion(logits, labels),
        }
    if views.count > 1:
        module.views = views
        data.eval_batch_size = max(1, data.eval_batch_size // views.count)  # as many pictures at a time as before
        for part, (logits, labels, rows) in _predict(trainer, module, data).items():
            metrics[part][f"accuracy_{views.kind}"] = accuracy(logits, labels)
            if part == "test":
                metrics[part][f"accuracy_{views.kind}_clean"] = accuracy(logits, labels, _clean(faces, data.split, rows))
    return metrics


def _clean(faces, split, rows):
    """Which of the test pictures `rows` (N,) have no identical twin among those the run trained or selected on. (N,) bool."""
    seen = np.concatenate([split.train, split.val])
    return torch.from_numpy(without_twin(faces.pixels, rows.cpu().numpy(), seen)).to(rows.device)


def _predict(trainer, module, data):
    """{part: (logits (N, 7), labels (N,), rows (N,))} of val and test, as far as there are such parts."""
    parts = {}
    if data.selects:
        trainer.validate(module, data, verbose=False)
        parts["val"] = module.val_predictions.compute()
    if len(data.split.test):
        trainer.test(module, data, verbose=False)
        parts["test"] = module.test_predictions.compute()
    return parts


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


def _epoch_scores(folder, epoch, part):
    """The scores of one part that metrics.csv holds for an epoch."""
    row = next(row for row in read_metrics(folder) if row["epoch"] == epoch)
    return {name.removeprefix(f"{part}/"): value for name, value in row.items() if name.startswith(f"{part}/")}


def _summary(selected, metrics):
    """What the loggers show of a finished run: all scores from the selected epoch."""
    flat = {f"best/{part}_{name}": value for part in ("train", "val") for name, value in (metrics[part] or {}).items()}
    flat |= {f"test/{name}": value for name, value in (metrics["test"] or {}).items() if isinstance(value, (int, float))}
    return {"best/epoch": selected["epoch"], **flat}


def quieten():
    """Leave out the remarks of Lightning and torch that hold for every run."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
