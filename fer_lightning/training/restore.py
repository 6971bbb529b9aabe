"""A finished run as live objects: its config, its data, its model with the selected weights."""

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fer_lightning.config import schema  # noqa: F401
from fer_lightning.config.checks import check_config
from fer_lightning.config.targets import check_targets, follow_moves
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.finished_run import read_record
from fer_lightning.runs.layout import BEST, checkpoints_of
from fer_lightning.training.build import build_module
from fer_lightning.training.checkpoints import read_checkpoint

# What only training needs: a run with an optimizer of somebody's own can be used without it.
OF_TRAINING = ("augment", "logger", "loss", "optimizer", "phases", "scheduler", "train_sizes", "trainer")


def restore(folder):
    """(cfg, faces, data, module) of a run folder. UserError if it holds no finished run or its config no longer fits the program."""
    cfg, module = restore_module(folder)
    faces = instantiate(cfg.data)
    data = FERDataModule(
        faces, instantiate(cfg.protocol)(faces), batch_size=cfg.batch_size, eval_batch_size=cfg.eval_batch_size, seed=cfg.seed
    )
    return cfg, faces, data, module


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
    cfg = read_config(folder)
    cfg = follow_moves(OmegaConf.masked_copy(cfg, [key for key in cfg if key not in OF_TRAINING]))
    try:
        check_config(OmegaConf.masked_copy(cfg, ["backbone", "head", "evaluation"]))
        check_targets(cfg)
    except ConfigError as error:
        made = result.get("environment", {})
        raise ConfigError(f"{error} {folder} was made with fer_lightning {made.get('fer_lightning')}, commit {made.get('git')}.") from error
    if "pretrained" in cfg.backbone:  # the weights are the checkpoint's: none need to be fetched
        cfg = OmegaConf.merge(cfg, {"backbone": {"pretrained": False}})
    module = build_module(cfg, torch.tensor(list(result["data"]["counts"]["train"].values())))
    state = {name: value for name, value in read_checkpoint(weights)["state_dict"].items() if not name.startswith("loss.")}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{weights} does not fit the config of the run: {' '.join(str(error).split())[:300]}") from error
    return cfg, module.eval()
