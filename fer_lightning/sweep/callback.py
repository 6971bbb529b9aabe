"""What happens before the first job of a sweep: checks, and study.json. Hydra calls it in the process that sweeps."""

import copy
import errno
import json
import os
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.config.checks import check_config
from fer_lightning.config.error_messages import explain
from fer_lightning.config.hydra_limits import check_run, check_sweep
from fer_lightning.config.identity import digest, training_config
from fer_lightning.config.registered_analysis import registered
from fer_lightning.config.targets import check_targets
from fer_lightning.config.trainer_keys import check_epochs, check_validation
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.scores import direction
from fer_lightning.runs.study_file import LEDGER, read_ledger, write_ledger
from fer_lightning.safety.secrets import check_secrets
from fer_lightning.sweep.announcement import BEHIND, Sweep, announce
from fer_lightning.sweep.overrides import keys, levels, refuse_merged_options, span

# Launchers and sweepers that need an extra of the same name, and a module that is there if it is installed.
PACKAGES = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "optuna": "optuna",
    "ray": "hydra_plugins.hydra_ray_launcher",
    "submitit": "hydra_plugins.hydra_submitit_launcher",
}


class StudyCallback(Callback):
    """Announces the sweep to its jobs and writes study.json."""

    def on_run_start(self, config, **_):
        with _stopping():
            check_secrets(OmegaConf.to_container(config, resolve=False))
            check_run(config)
            refuse_merged_options(config.hydra.overrides.task)
            check_config(config)
            check_validation(config)
            check_settings(config)
            make_folder("hydra.run.dir", config.hydra.run.dir)

    def on_multirun_start(self, config, **_):
        with _stopping():
            begin(config)


def begin(config):
    """Check all that can be checked before the first job, announce the sweep, and write study.json."""
    _check_installed(config.hydra.runtime.choices)
    axes, jobs = span(config.hydra.sweeper, config.hydra.overrides.task)
    check_secrets(OmegaConf.to_container(config, resolve=False))
    settings = without_hydra(config)
    check_levels(settings, levels(config.hydra.sweeper, config.hydra.overrides.task))
    check_settings(config)
    base = training_config(settings, without=(*axes, "seed"))
    name = config.hydra.runtime.choices["study"]
    if name == "adhoc":
        # Sweeps of the same keys over other data or with another budget must not share a folder.
        name = "-".join([*(axis.rsplit(".", 1)[-1] for axis in axes), digest(base)[:6]])
    # Some axis lies behind the backbone, or says how long and how the head trains.
    shares = any(axis.split(".")[0] in BEHIND for axis in axes)
    folder = announce(config, Sweep(name, axes, jobs=len(jobs) if jobs else None, shares=shares, started=time.time()))
    check_sweep(config, jobs)
    about = {"name": name, **OmegaConf.to_container(config.study)}
    del about["rerun"]
    _write_ledger(folder, {"study": about, "axes": axes, "jobs": jobs, "base": base, "command": sys.argv[1:]})


def check_settings(config):
    """Raise ConfigError for settings that no run can have; what needs no torch comes first, because importing it takes seconds."""
    check_config(config)
    check_epochs(config, keys(config.hydra.overrides.task))
    direction("monitor", config.monitor)
    registered(OmegaConf.to_container(config.study))
    check_targets(without_hydra(config))


def check_levels(settings, levels):
    """Raise ConfigError for a swept value that is out of its range. One of a wrong type fails its own job, as any other error does."""
    for key, values in levels.items():
        one = copy.deepcopy(settings)
        OmegaConf.set_struct(one, False)
        for value in values:
            with suppress(OmegaConfBaseException):  # Hydra's own checks follow
                OmegaConf.update(one, key, value)
            check_config(one, with_types=False)


def make_folder(key, folder):
    """Make a folder to write into. ConfigError if that cannot be."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise ConfigError(f"{key}={folder} cannot be written ({error.strerror}): give another folder.") from error


def without_hydra(config):
    """A config without Hydra's own node."""
    return OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])


def _check_installed(choices):
    for group in ("hydra/launcher", "hydra/sweeper"):
        extra = choices[group].partition("_")[0]  # submitit_local, submitit_slurm
        if extra in PACKAGES and find_spec(PACKAGES[extra]) is None:
            raise ConfigError(f"{group}={choices[group]} needs packages that are not installed: pip install 'fer_lightning[{extra}]'")


def _write_ledger(folder, ledger):
    """Write study.json. ConfigError if the folder holds a study with other settings."""
    path = folder / LEDGER
    if path.exists():
        base, new = (_settled(part) for part in (read_ledger(folder), json.loads(json.dumps(ledger))))
        changed = [key for key in sorted(base.keys() | new.keys()) if base.get(key) != new.get(key)]
        if changed:
            differences = "; ".join(f"{key}: {base.get(key)} there, {new.get(key)} now" for key in changed[:8])
            raise ConfigError(
                f"{folder} holds this study with other settings ({differences}{'; ...' if len(changed) > 8 else ''}). "
                "Choose another folder with hydra.sweep.dir=multirun/NAME, or remove that one."
            )
    make_folder("hydra.sweep.dir", folder)
    write_ledger(folder, ledger)


def _settled(ledger):
    """What must not change once there are runs: the settings that they share, and the analysis registered before them."""
    analysis = ledger["study"].get("analysis", {})
    return ledger["base"] | {f"study.analysis.{key}": value for key, value in analysis.items()}


@contextmanager
def _stopping():
    """Hydra turns an exception in a callback into a warning. Here it stops the sweep."""
    try:
        yield
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            traceback.print_exc()
        sys.exit(sentence or 1)
