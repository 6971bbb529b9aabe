"""A finished run as live objects: its config, its data, its model with the selected weights."""

import os
from pathlib import Path

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fer_lightning.config import schema  # noqa: F401
from fer_lightning.config.error_messages import root_cause
from fer_lightning.config.identity import target_name
from fer_lightning.config.targets import check_targets, follow_moves
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import check_faces
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.finished_run import read_record
from fer_lightning.runs.layout import BEST, checkpoints_of
from fer_lightning.training.build import build_module, build_phases
from fer_lightning.training.checkpoints import read_checkpoint


def restore(folder):
    """(cfg, faces, data, module) of a run folder. UserError if it holds no finished run or its config no longer fits the program."""
    cfg, module = restore_module(folder)
    faces = _data_of(folder, cfg)
    data = FERDataModule(
        faces, instantiate(cfg.protocol)(faces), batch_size=cfg.batch_size, eval_batch_size=cfg.eval_batch_size, seed=cfg.seed
    )
    return cfg, faces, data, module


def _data_of(folder, cfg):
    """The images of a run: of FER-2013 those where the run found them, else those in FER2013_ROOT, else as its config says."""
    saw, place = read_record(folder)["data"], {}
    if target_name(cfg.data["_target_"]) == "fer_lightning:read":
        source = saw.get("source") or ""
        place = {"root": source if os.path.exists(source) else os.environ.get("FER2013_ROOT", cfg.data.root)}
    try:
        faces = check_faces(instantiate(cfg.data, **place), cfg.data["_target_"])
    except InstantiationException as error:  # Hydra wraps what the reader says
        raise root_cause(error) from error
    if faces.fingerprint != saw.get("fingerprint"):
        raise UserError(f"{faces.source} no longer holds the images that {folder} was made with. Set FER2013_ROOT to where they are.")
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
    if not weights.is_file():
        raise UserError(f"{weights} is missing: the weights of this run were removed, so it can be reported but not run again.")
    cfg = follow_moves(read_config(folder))
    try:
        check_targets(cfg)
    except ConfigError as error:
        made = result.get("environment", {})
        raise ConfigError(f"{error} {folder} was made with fer_lightning {made.get('fer_lightning')}, commit {made.get('git')}.") from error
    if "pretrained" in cfg.backbone:  # the weights are the checkpoint's: none need to be fetched
        cfg = OmegaConf.merge(cfg, {"backbone": {"pretrained": False}})
    module = build_module(cfg, torch.tensor(list(result["data"]["counts"]["train"].values())))
    module.enter(build_phases(cfg)[-1])
    try:
        module.load_state_dict(read_checkpoint(weights)["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{weights} does not fit the config of the run: {' '.join(str(error).split())[:300]}") from error
    return cfg, module.eval()
