"""What a job needs to know of the sweep it belongs to, wherever it runs.

Every launcher hands Hydra's own overrides to its jobs, also to those on other machines. So they carry it, as `hydra.job.env_set`, which
Hydra turns into environment variables while a job runs.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import OmegaConf, open_dict, read_write

from fer_lightning.config.cell_names import folder_name
from fer_lightning.sweep.overrides import cell_values

VARIABLE = "FER_LIGHTNING_SWEEP"

# What the user may have set and a worker on a cluster would not inherit. It is written to .hydra/, so no key and no password.
CARRIED = ("FER2013_ROOT", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "WANDB_ENTITY", "WANDB_MODE", "WANDB_PROJECT", "XDG_CACHE_HOME")

# Below the folder of a sweep: what its jobs share while it lasts.
SHARED = ".features"


@dataclass(frozen=True)
class Sweep:
    """study:   its name, also the name of its group in W&B
    axes:    the swept keys
    jobs:    how many jobs there are, None where the sweeper decides as it goes
    shares:  whether jobs may differ behind the backbone only, so that a frozen one is asked once for all of them
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
    env = {name: os.environ[name] for name in CARRIED if name in os.environ} | dict(config.hydra.job.env_set)  # the user's own counts
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
    """The sweep of a config that is being composed, before its job begins."""
    return Sweep(**json.loads(config.hydra.job.env_set[VARIABLE]))


def current():
    """The sweep this process works for, or None in a single run."""
    text = os.environ.get(VARIABLE)
    return Sweep(**json.loads(text)) if text else None


def withdraw():
    os.environ.pop(VARIABLE, None)


def _cell(*, _root_):
    choices = _root_.hydra.runtime.choices
    return folder_name(cell_values(_root_, choices, announced(_root_).axes), _root_.seed)


OmegaConf.register_new_resolver("sweep_study", lambda *, _root_: announced(_root_).study, replace=True)
OmegaConf.register_new_resolver("sweep_cell", _cell, replace=True)
