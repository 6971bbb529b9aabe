"""What the benchmarks of training share: a module and data on drawn faces, and the machine they were measured on."""

import platform

import lightning
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from fer_lightning.build import build_module, build_phases
from fer_lightning.cli import CONF
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.record import environment


def training(epochs, train, val, overrides):
    """(config, data, module ready for its first phase) of a run of so many epochs and pictures, with the user's own overrides."""
    sizes = [f"data.train={train}", f"data.val={val}", "data.test=7", f"trainer.max_epochs={epochs}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["data=synthetic", *sizes, *overrides])
    faces = instantiate(cfg.data)
    data = FERDataModule(faces, instantiate(cfg.protocol)(faces), cfg.batch_size, cfg.eval_batch_size, cfg.seed)
    module = build_module(cfg, data.class_counts)
    module.enter(build_phases(cfg)[0])
    return cfg, data, module


def machine():
    where = environment()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, lightning {lightning.__version__}"
    return f"{where['device']}, {where['threads']} threads; {versions}"
