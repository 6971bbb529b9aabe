"""What a job has to know of the sweep it belongs to, wherever it runs.

Every launcher passes Hydra's own overrides to its jobs, also to jobs on other machines. So the overrides carry it, as `hydra.job.env_set`,
which Hydra turns into environment variables while a job runs.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import OmegaConf, open_dict, read_write

from fer_lightning.sweep.overrides import job_name

VARIABLE = "FER_LIGHTNING_SWEEP"

# What the user may have set and a worker on a cluster would not inherit. It is written to .hydra/, so no key and no password.
CARRIED = ("FER2013_ROOT", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "WANDB_ENTITY", "WANDB_MODE", "WANDB_PROJECT", "XDG_CACHE_HOME")

# Below the folder of a sweep: what its jobs share while it lasts.
SHARED = ".features"

# Config keys that do not change the features that a frozen backbone computes.
BEHIND = ("head", "loss", "optimizer", "scheduler", "prior_bias", "ema_decay", "epochs", "trainer", "patience", "monitor", "select")


@dataclass(frozen=True)
class Sweep:
    """study:   its name, also the name of its group in W&B
    axes:    the swept keys
    jobs:    how many jobs there are, None if the sweeper decides as it goes
    shares:  whether some jobs may differ only behind the backbone, so that the features of a frozen one are computed once for all
    started: seconds since the epoch
    folder:  absolute, because a worker on a cluster starts elsewhere; by default named after the study, so known only then
    """

    study: str
    axes: list
    jobs: int | None
    shares: bool
    started: float
    folder: str | None = None


def announce(config, sweep):
    """Write a sweep into its own config, and so into that of each of its jobs; and into the environment of the process that sweeps.

    Returns its folder.
    """
    env = {name: os.environ[name] for name in CARRIED if name in os.environ} | dict(config.hydra.job.env_set)  # the user's own wins
    with read_write(config), open_dict(config):
        config.hydra.job.env_set = env | {VARIABLE: json.dumps(asdict(sweep))}
        sweep = replace(sweep, folder=str(Path(config.hydra.sweep.dir).absolute()))
        os.environ[VARIABLE] = json.dumps(asdict(sweep))
        config.hydra.job.env_set = env | {VARIABLE: os.environ[VARIABLE]}
        told = {"hydra.sweep.dir": sweep.folder}
        told |= {f"++hydra.job.env_set.{name}": value for name, value in config.hydra.job.env_set.items()}
        config.hydra.overrides.hydra += [f"{key}={QuotedString(value, Quote.single).with_quotes()}" for key, value in told.items()]
    return Path(sweep.folder)


def announced(config):
    """The sweep of a config that is being composed, before its job begins; None if it is only shown (--cfg hydra)."""
    text = config.hydra.job.env_set.get(VARIABLE)
    return Sweep(**json.loads(text)) if text else None


def current_sweep():
    """The sweep that this process works for; None in a single run."""
    text = os.environ.get(VARIABLE)
    return Sweep(**json.loads(text)) if text else None


def withdraw():
    """Forget the sweep, at its end."""
    os.environ.pop(VARIABLE, None)


def _study(*, _root_):
    sweep = announced(_root_)
    return sweep.study if sweep else "STUDY"


def _cell(*, _root_):
    sweep = announced(_root_)
    return job_name(_root_, _root_.hydra.runtime.choices, sweep.axes) if sweep else "CELL"


OmegaConf.register_new_resolver("sweep_study", _study, replace=True)
OmegaConf.register_new_resolver("sweep_cell", _cell, replace=True)
