"""From a config to live objects: module, phases, trainer, callbacks, monitor."""

from dataclasses import replace

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.plugins.environments import LightningEnvironment
from omegaconf import OmegaConf
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fer_lightning.config.targets import build, plain
from fer_lightning.data.faces import CLASSES
from fer_lightning.model.head import make_head
from fer_lightning.model.losses import prior_bias
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.scores import direction
from fer_lightning.stability.measures import GUESSING, guessing
from fer_lightning.training.averaging import TrainedAveraging
from fer_lightning.training.checkpoints import AtomicCheckpoints
from fer_lightning.training.module import FERModule
from fer_lightning.training.phases import Phase, share_epochs
from fer_lightning.training.stability_monitor import StabilityMonitor
from fer_lightning.transforms.augment import Augment

CONTRACT = (
    "A backbone needs num_features, input_spec (an InputSpec of fer_lightning.transforms.prepare) and forward: images (B, channels, size, "
    "size) to features (B, num_features)."
)


def build_net(cfg, classes):
    """(backbone, head) of a config. classes: how many"""
    backbone = build({key: value for key, value in plain(cfg.backbone).items() if key != "freeze"}, "backbone")
    lacking = [name for name in ("num_features", "input_spec") if not hasattr(backbone, name)]
    if lacking:
        raise ConfigError(f"backbone._target_={cfg.backbone._target_} has no {' and no '.join(lacking)}. {CONTRACT}")
    return backbone, make_head(backbone.num_features, classes, **build(cfg.head, "head"))


def build_module(cfg, class_counts):
    """The FERModule of a config. class_counts: training images per class, (C,). ConfigError for sizes that cannot be.

    A module that no longer trains needs no loss and no augmentation in its config.
    """
    backbone, head = build_net(cfg, len(class_counts))
    if cfg.prior_bias:
        head[-1].bias.data.copy_(prior_bias(class_counts))
    if cfg.backbone.get("input_size") is not None:
        check_size(backbone, f"input_size={backbone.input_spec.size}", backbone.input_spec.size)
    if cfg.get("train_sizes") is not None:
        check_sizes(backbone, cfg.train_sizes, "all" in (cfg.backbone.freeze, *(phase.freeze for phase in cfg.phases.values())))
    return FERModule(
        backbone,
        head,
        build(cfg.loss, "loss")(class_counts) if "loss" in cfg else None,
        augment=_build_augment(cfg, len(class_counts)) if "augment" in cfg else None,
        views=build(cfg.evaluation, "evaluation").single,
        channels_last=cfg.channels_last,
        seed=cfg.seed,
        sizes=tuple(cfg.get("train_sizes") or ()),
    )


def _build_augment(cfg, classes):
    """The augmentation of a config; ours makes probabilities of labels, so it knows how many classes there are."""
    augment = build(cfg.augment, "augment")
    return replace(augment, classes=classes) if isinstance(augment, Augment) else augment


def check_sizes(backbone, sizes, frozen):
    """Raise ConfigError unless the backbone takes images of all these sizes (pixels). frozen: whether any phase freezes it."""
    if frozen:
        raise ConfigError(f"train_sizes={list(sizes)}: a frozen backbone takes images of one size only; set train_sizes=null.")
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"train_sizes={list(sizes)}: give sizes in pixels, such as [32,48] (or null: input_size throughout).")
    for size in sizes:
        check_size(backbone, f"train_sizes={list(sizes)}", size)


@torch.no_grad()
def check_size(backbone, setting, size):
    """Raise ConfigError, which begins with the setting, unless the backbone takes images of a size (pixels)."""
    backbone.eval()
    try:
        backbone(torch.zeros(1, backbone.input_spec.channels, size, size))
    except Exception as error:  # each backbone raises its own
        reason = str(error).partition("\n")[0] or type(error).__name__
        native = getattr(backbone, "native_size", None)
        works = f" It was made for {native}: input_size={native} resizes the images." if native else ""
        raise ConfigError(f"{setting}: {type(backbone).__name__} takes no images of {size} pixels ({reason}).{works}") from error
    backbone.train()


def build_phases(cfg):
    """The phases of a config in the order of their names; if it names none, one phase with the root's optimizer, scheduler and freeze."""
    if not cfg.phases:
        optimizer, scheduler = build(cfg.optimizer, "optimizer"), build(cfg.scheduler, "scheduler")
        return [Phase("whole", cfg.trainer.max_epochs, optimizer, scheduler, freeze=cfg.backbone.freeze)]
    phases = sorted(cfg.phases.items())  # by name: the order in which Hydra merges them has no meaning
    if phases[0][1].start == "best":
        raise ConfigError(f"phase {phases[0][0]}: start=best: no phase comes before it. Phases run in the order of their names.")
    epochs = share_epochs([phase.epochs for _, phase in phases], cfg.trainer.max_epochs)
    return [
        Phase(
            name,
            share,
            build(phase.optimizer or cfg.optimizer, "optimizer"),
            build(phase.scheduler or cfg.scheduler, "scheduler"),
            freeze=phase.freeze,
            data=phase.data,
            start=phase.start,
        )
        for (name, phase), share in zip(phases, epochs, strict=True)
    ]


def check_steps(phases):
    """Raise ConfigError if torch refuses the optimizer of a phase, or its schedule; torch would say so only when the training begins."""
    for phase in phases:
        where = "" if phase.name == "whole" else f"phases.{phase.name}."
        optimizer = _accepted(f"{where}optimizer", phase.optimizer, [torch.nn.Parameter(torch.zeros(1))])
        _accepted(f"{where}scheduler", phase.schedule.build, optimizer, 1000)


def _accepted(key, make, *arguments):
    try:
        return make(*arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {' '.join(str(error).split()).rstrip('.')}.") from error


def check_limits(trainer, data):
    """Raise ConfigError for a share of the batches of a part that is less than one batch. trainer: the node of the config"""
    for part in ("train", "val", "test"):
        share = trainer.get(f"limit_{part}_batches")
        batches = len(getattr(data, f"{part}_dataloader")()) if part == "train" or len(getattr(data.split, part)) else 0
        if batches and isinstance(share, float) and int(share * batches) < 1:
            told = f"trainer.limit_{part}_batches={share} of {batches} batches is less than one"
            raise ConfigError(f"{told}: give a number of batches, or a share of {1 / batches:.3g} or more.")


def check_crops(cfg, size):
    """Raise ConfigError for a crop or a shift that is larger than the images of `size` pixels; the config knows only those of FER-2013."""
    for key, most in {"augment.crop_size": size, "evaluation.size": size, "augment.shift": size - 1}.items():
        value = OmegaConf.select(cfg, key)
        if isinstance(value, int) and value > most and not OmegaConf.select(cfg, "augment.resized_crop_size"):
            raise ConfigError(f"{key}={value}: the images have {size} pixels, so it is at most {most}.")


def build_trainer(cfg, precision, *, loggers=(), callbacks=(), max_epochs=None, accumulate=1):
    """A Lightning Trainer that prints nothing of its own.

    precision:  in Lightning's terms, from `pick_precision`
    max_epochs: the epoch at which a fit ends, counted over all phases; None for evaluation only
    accumulate: batches of the data module that make up one of the config
    """
    fits = max_epochs is not None
    limit = cfg.trainer.limit_train_batches
    return build(
        cfg.trainer,
        "trainer",
        max_epochs=max_epochs or 0,
        accumulate_grad_batches=accumulate * cfg.trainer.accumulate_grad_batches,
        limit_train_batches=accumulate * limit if isinstance(limit, int) else limit,
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        precision=precision,
        enable_checkpointing=fits,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the module divides the batches among the processes
        # processes.py starts the processes of a job, also on a cluster that Lightning would know how to use.
        plugins=[LightningEnvironment(), AtomicCheckpoints()],
    )


def build_callbacks(cfg, selects, best):
    """Weight averaging, early stopping and the checkpoint of the best epoch, for one phase.

    selects: whether the phase holds out a validation part, which selects; best: the file of its best epoch
    """
    callbacks = []
    if cfg.ema_decay is not None:
        callbacks.append(TrainedAveraging(multi_avg_fn=warming_average(cfg.ema_decay)))
    if cfg.patience is not None and selects:
        callbacks.append(EarlyStopping(cfg.monitor, mode=direction("monitor", cfg.monitor), patience=cfg.patience))
    if selects:
        # Not save_weights_only: Lightning then skips the callbacks and would save the weights before averaging.
        file = {"dirpath": best.parent, "filename": best.stem, "enable_version_counter": False}
        callbacks.append(ModelCheckpoint(**file, monitor=cfg.monitor, mode=direction("monitor", cfg.monitor)))
    return callbacks


def own_callbacks(cfg):
    """The callbacks that a user brings. ConfigError for what is no Lightning callback, and for two that a checkpoint cannot tell apart."""
    callbacks, stateful = [], {}
    for name, node in cfg.callbacks.items():
        key = f"callbacks.{name}"
        callback = build(node, key) if OmegaConf.is_dict(node) else node
        if not isinstance(callback, Callback):
            raise ConfigError(f"{key} is no Lightning callback: let {key}._target_ name a subclass of lightning.Callback.")
        if type(callback).state_dict is not Callback.state_dict and (twin := stateful.setdefault(callback.state_key, key)) != key:
            raise ConfigError(f"{twin} and {key} keep their state under one name: give {type(callback).__name__} a `state_key`.")
        callbacks.append(callback)
    return callbacks


def build_monitor(cfg, data, folder):
    """The StabilityMonitor of a run; the seed draws its probe from the training part. ConfigError for a number below 1."""
    for key in ("probe", "sharpness_every"):
        value = cfg.stability[key]
        if value is not None and value < 1:
            raise ConfigError(f"stability.{key}={value}: give a whole number, 1 or more{' (or null: never)' if key != 'probe' else ''}.")
    train = data.split.train
    probe = np.random.default_rng(cfg.seed).choice(train, min(cfg.stability.probe, len(train)), replace=False)
    rows = torch.from_numpy(probe)
    guess = GUESSING if data.classes == CLASSES else guessing(data.class_counts.tolist())
    settings = {"batch_size": data.batch_size, "sharpness_every": cfg.stability.sharpness_every, "guess": guess}
    return StabilityMonitor(folder, data.pixels[rows], data.targets[rows], rows, **settings)


def warming_average(decay):
    """An exponential average with a smaller decay in the first steps, so that a run of 50 steps is not averaged over 200."""

    def average(averaged, current, steps):
        get_ema_multi_avg_fn(min(decay, (1 + steps.item()) / (10 + steps.item())))(averaged, current, steps)

    return average
