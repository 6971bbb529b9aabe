"""Limits on what a command may make Hydra do: where the output goes, and which objects Hydra itself builds.

The user chooses the folder of a run or a sweep: an absolute path, or one below the current folder. Within a sweep no swept value and no
name leads out of the folder of the sweep. Everything is checked before anything is written.
"""

import re
from pathlib import PurePath

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict, read_write

from fer_lightning.process.errors import ConfigError

# Hydra acts on these before any code of ours runs.
FIXED = re.compile(r"[+~]*hydra(\.(callbacks|job_logging|hydra_logging)\b.*|)=")
TARGET = re.compile(r"[+~]*hydra\b([^=]*_target_=|.*_target_['\"]?\s*:)", re.DOTALL)

# What Hydra's own nodes may name: its launchers and sweepers, a sampler of Optuna, and our callback.
PLUGINS = ("hydra._internal.core_plugins.", "hydra_plugins.", "optuna.samplers.", "fer_lightning.sweep.callback.")

LOG_FOLDER = "${hydra.runtime.output_dir}/"


def check_arguments(arguments):
    """Raise ConfigError for an argument with which Hydra would run or write something before it can be checked."""
    for argument in arguments:
        if argument.startswith("--experimental-rerun"):
            raise ConfigError("--experimental-rerun unpickles a file, which can run anything. A run's overrides.yaml says how to run it.")
        if FIXED.match(argument) or TARGET.match(argument):
            raise ConfigError(f"{argument}: callbacks, logging and targets of Hydra are not set on the command line.")


def check_run(config):
    """The folder of a single run. ConfigError if the run would write outside of it, or if it is above the current one."""
    _check_hydra(config.hydra)
    return _check_folder("hydra.run.dir", _resolved(config, "hydra.run.dir"))


def check_sweep(config, jobs):
    """Raise ConfigError if a job would not have a folder of its own in that of its sweep. jobs: lists of overrides; None: not known yet."""
    _check_hydra(config.hydra)
    _check_folder("hydra.sweep.dir", _resolved(config, "hydra.sweep.dir"))
    written = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]
    if written == "${sweep_cell:}":  # folder_name turns any swept values into one safe name
        return
    if jobs is None and "${" in written:
        raise ConfigError(f"hydra.sweep.subdir={written}: this sweeper chooses its jobs as it goes, so their folders cannot be checked.")
    loader = GlobalHydra.instance().config_loader()
    taken = {}
    for number, job in enumerate(jobs or [None]):
        one = config if job is None else loader.load_sweep_config(config, job)
        with read_write(one.hydra), open_dict(one.hydra):
            one.hydra.job.num, one.hydra.job.id = number, str(number)
        place = PurePath(_resolved(one, "hydra.sweep.subdir"))
        if place.is_absolute() or ".." in place.parts:
            raise ConfigError(f"hydra.sweep.subdir: {place} leads out of the sweep's folder. A job's folder lies in its sweep's.")
        if len(place.parts) != 1:
            raise ConfigError(f"hydra.sweep.subdir: {place} is no plain name. A job's folder lies directly in its sweep's.")
        # Some file systems take `A` and `a` for one name.
        if (other := taken.setdefault(str(place).casefold(), number)) != number:
            raise ConfigError(
                f"hydra.sweep.subdir={written} gives jobs {other + 1} and {number + 1} one folder, {place}. "
                "Leave it out: each job then has a folder named after what varies."
            )


def _check_folder(key, folder):
    if ".." in PurePath(folder).parts:
        raise ConfigError(f"{key}={folder} leads out of the current folder. Give it as an absolute path if you mean it.")
    return folder


def _check_hydra(hydra):
    raw = OmegaConf.to_container(hydra, resolve=False)
    for key in ("job.name", "output_subdir"):
        name = OmegaConf.select(hydra, key)
        if name is not None and (PurePath(name).name != name or name == ".."):
            raise ConfigError(f"hydra.{key}={name}: give a plain name, not a path.")
    for part in ("job_logging", "hydra_logging"):
        for handler in ((raw.get(part) or {}).get("handlers") or {}).values():
            file = handler.get("filename")
            if file and not (file.startswith(LOG_FOLDER) and ".." not in PurePath(file).parts):
                raise ConfigError(f"hydra.{part}: {file} is not in the folder of the run.")
    for key, target in _targets(raw, "hydra"):
        if not (isinstance(target, str) and target.startswith(PLUGINS)):
            raise ConfigError(f"{key}._target_={target} is refused: Hydra's own nodes may name its launchers, sweepers and our callback.")


def _targets(node, key):
    """(key, target) of every node with a `_target_`."""
    if isinstance(node, dict) and "_target_" in node:
        yield key, node["_target_"]
    for name, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _targets(child, f"{key}.{name}")


def _resolved(config, key):
    HydraConfig.instance().set_config(config)  # for ${hydra:...}
    return str(OmegaConf.select(config, key))
