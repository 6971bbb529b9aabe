"""The composition root: a config becomes live objects, these are fitted and tested once, and the run folder is written."""

import logging
import time
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import seed_everything
from torch.utils.flop_counter import FlopCounterMode

from fer_lightning import loggers as mirrors
from fer_lightning.agreement import agreement
from fer_lightning.build import build_callbacks, build_checkpoints, build_module, build_monitor, build_phases, build_trainer, pick_precision
from fer_lightning.compiling import compile_nets
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import CLASSES, SIZE
from fer_lightning.data.ferplus import distribution
from fer_lightning.data.near_twins import photo_ids
from fer_lightning.data.twins import picture_ids, without_sibling
from fer_lightning.features import Features, digest
from fer_lightning.inputs import prepare
from fer_lightning.metrics import accuracy, score_parts
from fer_lightning.progress import EpochRecord
from fer_lightning.record import clear, environment, read_metrics, replacing, write_predictions, write_result
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


def train(cfg, folder, job, name, group, shared=None):
    """Train and test one job, and write its run folder.

    folder:      the run folder, which exists
    job:         what result.json says of the job: id, study, cell, seed, overrides
    name, group: of the run in the loggers
    shared:      folder for what jobs of the same sweep can share; None where there is nobody to share with

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
    photos = None if cfg.near_twins is None else photo_ids(faces.pixels, cfg.near_twins)
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
            "labels": faces.label_set,
            "fingerprint": faces.fingerprint,
            "near_twins": cfg.near_twins,
            "counts": {part: _counts(faces.labels[getattr(split, part)]) for part in ("train", "val", "test")},
        },
        "model": {"backbone": cfg.backbone["_target_"], **describe(module)},
        "environment": environment(),
    }
    write_result(folder, record)
    if cfg.compile:
        compile_nets(module)

    labels = {"study": group, **job["cell"], "protocol": split.protocol, "verdict": faces.verdict}
    loggers = [instantiate(node, folder=str(folder), name=name, labels=labels) for node in cfg.logger.values()]
    succeeded = False
    try:
        for logger in loggers:
            logger.log_hyperparams(mirrors.config(training_config(cfg), job, record["model"]))
        epochs = EpochRecord(folder)
        monitor = build_monitor(cfg, data, folder)
        fit(cfg, module, data, phases, folder, loggers, [epochs, monitor], shared)
        fit_s = time.perf_counter() - start

        test_start = time.perf_counter()
        selected = load_selected(module, folder, cfg.monitor if data.selects else None)
        metrics = evaluate(build_trainer(cfg), module, data, faces, instantiate(cfg.evaluation), folder, photos)
        if module.features is not None:
            module.features.save()  # those of the test part are new
        metrics["train"] = _epoch_scores(folder, selected["epoch"], "train")
        test_s = time.perf_counter() - test_start
        timed = {}
        if cfg.timed_passes and len(split.test):
            timed = timed_pass(module, data, cfg.timed_passes, pick_precision(cfg.precision) == "bf16-mixed")
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
        # Weights, averaged weights and the optimizer's state, to go on with: 3 to 5 times the size of best.ckpt, for every job of a sweep.
        (folder / "checkpoints" / "last.ckpt").unlink()
        mirrors.show(loggers, folder, record)
        succeeded = True
    finally:
        mirrors.close(loggers, succeeded)
    return record


def fit(cfg, module, data, phases, folder, loggers, watchers, shared=None):
    """Train phase after phase. Epochs count on; the weights that count in the end are selected within the last phase.

    watchers: callbacks that go through all phases
    """
    total = 0
    for phase in phases:
        if phase.start == "best":
            load_selected(module, folder, cfg.monitor if data.selects else None)
        data.enter(phase)
        module.enter(phase)
        module.features = keep_features(cfg, module, data, shared) if phase.freeze == "all" else None
        if len(phases) > 1:
            log.info("phase %s: %d epochs, frozen: %s, on %s", phase.name, phase.epochs, phase.freeze, phase.data)
        last, best = build_checkpoints(cfg, folder)
        callbacks = [*watchers, *build_callbacks(cfg, data.selects), last, *([best] if data.selects else [])]
        trainer = build_trainer(cfg, loggers, callbacks, total + phase.epochs)
        # Lightning moves it after weight averaging has copied it, which would then average on the CPU, step by step.
        module.to(trainer.strategy.root_device)
        trainer.fit_loop.epoch_progress.current.processed = trainer.fit_loop.epoch_progress.current.completed = total
        trainer.fit(module, data)
        total = trainer.current_epoch
        if module.features is not None:
            module.features.save()


def keep_features(cfg, module, data, shared):
    """The Features of a backbone that stands still, found again by whatever they depend on."""
    if shared is None:
        return Features(len(data.pixels), module.augment)
    stills = digest(module.backbone.state_dict(), module.backbone.input_spec, data.pixels, cfg.precision)
    draws = digest(stills, asdict(module.augment), data.targets, data.train_index, data.batch_size, cfg.seed)
    return Features(len(data.pixels), module.augment, shared / stills, shared / draws)


def load_selected(module, folder, monitor):
    """Load the weights of the epoch that the monitor selected; of the last epoch where it is None, for want of a validation part.

    best.ckpt then keeps these weights alone: the optimizer's state, twice the size, is of use in last.ckpt only.
    Returns {epoch, monitor, value}.
    """
    best = folder / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(best if monitor else best.with_name("last.ckpt"), weights_only=True, map_location="cpu")
    module.load_state_dict(checkpoint["state_dict"])
    with replacing(best) as part:
        torch.save({key: checkpoint[key] for key in ("state_dict", "epoch", "global_step")}, part)
    value = _epoch_scores(folder, checkpoint["epoch"], "val")[monitor.removeprefix("val/")] if monitor else None
    return {"epoch": checkpoint["epoch"], "monitor": monitor, "value": value}


def evaluate(trainer, module, data, faces, views, folder, photos=None):
    """Score the weights as they are on val and test, and write predictions.parquet, from one view of each picture.

    Where `views` asks for several, a second pass adds accuracy_<kind>, from all of them.
    Where `photos` (N,) says which pictures are near twins, the clean scores are also given without these: accuracy_clean_near.
    Returns {val: scores, test: scores}; None for a part without pictures or, of val, one that was trained on.
    """
    parts = _predict(trainer, module, data)
    clean = _clean(faces, data.split, parts["test"][2]) if "test" in parts else None
    write_predictions(folder, parts, clean)
    metrics = score_parts(parts, clean)
    if faces.votes is not None:
        for part, (logits, _, rows) in parts.items():
            metrics[part] |= agreement(logits, torch.from_numpy(distribution(faces.votes[rows.cpu().numpy()])).to(logits.device))
    if photos is not None and "test" in parts:
        logits, labels, rows = parts["test"]
        clean = _clean(faces, data.split, rows, photos)
        metrics["test"] |= {"accuracy_clean_near": accuracy(logits, labels, clean), "n_clean_near": int(clean.sum())}
    if views.count > 1:
        module.views = views
        data.eval_batch_size = max(1, data.eval_batch_size // views.count)  # as many pictures at a time as before
        for part, (logits, labels, rows) in _predict(trainer, module, data).items():
            metrics[part][f"accuracy_{views.kind}"] = accuracy(logits, labels)
            if part == "test":
                metrics[part][f"accuracy_{views.kind}_clean"] = accuracy(logits, labels, _clean(faces, data.split, rows))
                if photos is not None:
                    metrics[part][f"accuracy_{views.kind}_clean_near"] = accuracy(logits, labels, _clean(faces, data.split, rows, photos))
    return metrics


def _clean(faces, split, rows, ids=None):
    """Which of the test pictures `rows` (N,) have no twin among those the run trained or selected on. (N,) bool.

    ids: equal for twins; without it these are the identical pictures
    """
    seen = np.concatenate([split.train, split.val])
    ids = picture_ids(faces.pixels) if ids is None else ids
    return torch.from_numpy(without_sibling(ids, rows.cpu().numpy(), seen)).to(rows.device)


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


def quieten():
    """Leave out the remarks of Lightning and torch that hold for every run."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
