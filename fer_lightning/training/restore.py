"""A finished run as live objects: its config, its data, its model with the selected weights."""

import os
from contextlib import contextmanager
from pathlib import Path

import torch
from omegaconf import OmegaConf

from fer_lightning.config import schema
from fer_lightning.config.checks import check_config
from fer_lightning.config.error_messages import root_cause
from fer_lightning.config.identity import target_name
from fer_lightning.config.targets import build, check_targets, follow_moves, plain
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import check_faces
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.runs.config_files import CONFIG, read_config
from fer_lightning.runs.finished_run import read_record
from fer_lightning.runs.layout import BEST, checkpoints_of
from fer_lightning.training.build import build_module, build_net
from fer_lightning.training.checkpoints import read_checkpoint

# What only training needs: a run with an optimizer of somebody's own can be used without it.
OF_TRAINING = ("augment", "callbacks", "logger", "loss", "optimizer", "phases", "scheduler", "train_sizes", "trainer")


def restore(folder):
    """(cfg, faces, data, module) of a run folder. UserError if it holds no finished run or its config no longer fits the program."""
    cfg, module = restore_module(folder)
    return cfg, *restore_data(folder, cfg), module


def restore_data(folder, cfg):
    """(faces, data) of a run folder and its config. UserError if the images are not there any more."""
    with _in_one_sentence(Path(folder)):
        faces = _faces_of(folder, cfg)
        split = build(cfg.protocol, "protocol")(faces)
        return faces, FERDataModule(faces, split, batch_size=cfg.batch_size, eval_batch_size=cfg.eval_batch_size, seed=cfg.seed)


def _faces_of(folder, cfg):
    """The images of a run: those where the run found them, else of FER-2013 those in FER2013_ROOT, else as its config says."""
    saw, place, remedy = read_record(folder)["data"], {}, "Set FER2013_ROOT to where they are."
    source, reader = saw.get("source") or "", target_name(cfg.data["_target_"])
    if reader == "fer_lightning:read":
        place = {"root": source if os.path.exists(source) else os.environ.get("FER2013_ROOT", cfg.data.root)}
    elif reader == "fer_lightning:read_image_folder":
        place, remedy = {"root": source if os.path.isdir(source) else cfg.data.root}, "Put back what was there."
    faces = check_faces(build(cfg.data, "data", **place), cfg.data["_target_"])
    if faces.fingerprint != saw.get("fingerprint"):
        raise UserError(f"{faces.source} no longer holds the images that {folder} was made with. {remedy}")
    return faces


def restore_module(folder):
    """(cfg, module) of a run folder, the module in eval mode; the data set is not needed. UserError as for `restore`."""
    keep_freed_memory()
    folder = Path(folder)
    result = read_record(folder)
    if result is None or result["status"] != "done":
        raise UserError(f"{folder} holds no finished run: {'no result.json' if result is None else 'its status is ' + result['status']}.")
    if "members" in result:
        raise UserError(f"{folder} is an ensemble, which keeps predictions and no weights: name one of its members.")
    weights = checkpoints_of(folder) / BEST
    if not weights.exists():
        raise UserError(f"{weights} is missing: the weights of this run were removed, so it can be reported but not run again.")
    checkpoint = read_checkpoint(weights)
    whole = follow_moves(read_config(folder))
    cfg = OmegaConf.masked_copy(whole, [key for key in whole if key not in OF_TRAINING])
    try:
        network = {key: plain(whole[key]) for key in ("backbone", "head", "evaluation") if key in whole}  # may refer to what is left out
        check_config(OmegaConf.create(network))
        cfg.update(network)
        check_targets(cfg)
    except ConfigError as error:
        made = result.get("environment", {})
        raise ConfigError(f"{error} {folder} was made with fer_lightning {made.get('fer_lightning')}, commit {made.get('git')}.") from error
    with _in_one_sentence(folder):
        cfg = OmegaConf.merge(_schema(), cfg)
        if "pretrained" in cfg.backbone:  # the weights are the checkpoint's: none need to be fetched
            cfg.backbone.pretrained = False
        counts = torch.tensor(list(result["data"]["counts"]["train"].values()))
        _check_size(cfg, len(counts), checkpoint, weights)
        module = build_module(cfg, counts)
    state = {name: value for name, value in checkpoint["state_dict"].items() if not name.startswith("loss.")}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{weights} does not fit the config of the run: {' '.join(str(error).split())[:300]}") from error
    return cfg, module.eval()


def _schema():
    """The types of the config. Keys that it does not have are left to their readers: a run may be older or newer than this program."""
    typed = OmegaConf.structured(schema.Config)
    OmegaConf.set_struct(typed, False)
    return typed


def _check_size(cfg, classes, checkpoint, weights):
    """UserError if the config describes a larger network than the checkpoint holds, before memory is taken for it."""
    try:
        with torch.device("meta"):
            described = sum(p.numel() for part in build_net(cfg, classes) for p in part.parameters())
    except Exception:  # not every network can be built without memory
        return
    held = sum(value.numel() for value in checkpoint["state_dict"].values())
    if described > held:
        raise UserError(f"{weights} does not fit the config of the run: it holds {held:,} numbers, and the network has {described:,}.")


@contextmanager
def _in_one_sentence(folder):
    """What a config from anyone makes a class raise, and there is no end to it, becomes a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = root_cause(error)
        if isinstance(cause, UserError):
            raise cause from error
        reason = " ".join(str(cause).split())[:300] or type(cause).__name__
        raise UserError(f"{folder / CONFIG} does not describe a run that can be built: {reason}") from error
