"""What the benchmarks of training share: a module and data on drawn faces, and the machine they were measured on."""

import platform
import time

import lightning
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.optim.lr_scheduler import OneCycleLR

from fer_lightning.config import schema  # noqa: F401  (stores the schema)
from fer_lightning.config.groups import CONF
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.process.memory import keep_freed_memory
from fer_lightning.training.build import build_callbacks, build_module, build_phases
from fer_lightning.training.environment import environment
from fer_lightning.training.resume import Continuation


def training(epochs, train, val, overrides):
    """(config, data, module ready for its first phase) of a run of so many epochs and pictures, with the user's own overrides."""
    keep_freed_memory()
    sizes = [f"data.train={train}", f"data.val={val}", "data.test=7", f"trainer.max_epochs={epochs}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["data=synthetic", *sizes, *overrides])
    faces = instantiate(cfg.data)
    data = FERDataModule(
        faces, instantiate(cfg.protocol)(faces), batch_size=cfg.batch_size, eval_batch_size=cfg.eval_batch_size, seed=cfg.seed
    )
    module = build_module(cfg, data.class_counts)
    module.enter(build_phases(cfg)[0])
    return cfg, data, module


def checkpointing(cfg, folder):
    """The callbacks that average, select and save, as a run of one phase has them."""
    best = folder / "checkpoints" / "best.ckpt"
    return [*build_callbacks(cfg, True, best), Continuation(folder, phase=0, start=0, began=time.perf_counter())]


def optimizer_of(parameters, steps):
    """(optimizer, schedule a step) of the default run, for the loops that it is compared with."""
    optimizer = torch.optim.SGD(parameters, 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return optimizer, OneCycleLR(optimizer, 0.1, steps, pct_start=0.2, anneal_strategy="linear", cycle_momentum=False)


def machine():
    where = environment()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, lightning {lightning.__version__}"
    return f"{where['device']}, {where['threads']} threads; {versions}"
