"""What happens before the first job of a sweep: checks, and study.json. Hydra calls it in the process that sweeps."""

import json
import sys
import time
import traceback
from contextlib import contextmanager
from importlib.util import find_spec

from hydra.core.global_hydra import GlobalHydra
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import OmegaConf

from fer_lightning.config.cell_names import level_text
from fer_lightning.config.hydra_limits import check_run, check_sweep, settle_plugins
from fer_lightning.config.identity import digest, training_config
from fer_lightning.config.registered_analysis import registered
from fer_lightning.config.targets import check_targets
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.runs.layout import refuse_links
from fer_lightning.runs.study_file import LEDGER, read_ledger, write_ledger
from fer_lightning.safety.secrets import check_secrets
from fer_lightning.sweep.announcement import BEHIND, Sweep, announce
from fer_lightning.sweep.overrides import parse, refuse_merged_options, span

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
            refuse_links(config.hydra.run.dir)  # before Hydra opens the log there
            refuse_merged_options(config.hydra.overrides.task)
            check_targets(without_hydra(config))

    def on_multirun_start(self, config, **_):
        with _stopping():
            begin(config)


def begin(config):
    """Check all that can be checked before the first job, announce the sweep, and write study.json."""
    check_secrets(OmegaConf.to_container(config, resolve=False))  # first: whoever reads an override resolves it
    _check_installed(config.hydra.runtime.choices)
    axes, jobs = span(config.hydra.sweeper, config.hydra.overrides.task)
    settings = without_hydra(config)
    check_targets(settings)
    registered(OmegaConf.to_container(config.study))
    base = training_config(settings, without=(*axes, "seed"))
    name = config.hydra.runtime.choices["study"]
    if name == "adhoc":
        # Sweeps of the same keys over other data or with another budget must not share a folder.
        name = "-".join([*(axis.rsplit(".", 1)[-1] for axis in axes), digest(base)[:6]])
    # Some axis lies behind the backbone, or says how long and how the head trains.
    shares = any(axis.split(".")[0] in BEHIND for axis in axes)
    folder = announce(config, Sweep(name, axes, jobs=len(jobs) if jobs else None, shares=shares, started=time.time()))
    check_sweep(config, jobs)
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
    folder.mkdir(parents=True, exist_ok=True)
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
    except UserError as error:
        sys.exit(str(error))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
