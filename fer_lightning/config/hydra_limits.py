"""Limits on what a command may make Hydra do: where the output goes, and which objects Hydra itself builds.

The user chooses the folder of a run or a sweep: an absolute path, or one below the current folder. Within a sweep no swept value and no
name leads out of the folder of the sweep. Everything is checked before anything is written.
"""

import re
from pathlib import PurePath

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict, read_write

from fer_lightning.config.targets import plain
from fer_lightning.process.errors import ConfigError

# Hydra acts on these before any code of ours runs.
FIXED = re.compile(r"[+~]*hydra(\.(callbacks|job_logging|hydra_logging)\b.*|)=")
TARGET = re.compile(r"[+~]*hydra\b([^=]*_target_=|.*_target_['\"]?\s*:)", re.DOTALL)

# What Hydra itself may build, and where. Of launchers and sweepers Hydra takes only classes that it has found as plug-ins.
CALLBACKS = {"study": {"_target_": "fer_lightning.sweep.callback.StudyCallback"}}
PLUGINS = {
    "hydra.launcher": r"(hydra_plugins|hydra\._internal\.core_plugins)\.[\w.]+",
    "hydra.sweeper": r"(hydra_plugins|hydra\._internal\.core_plugins)\.[\w.]+",
    "hydra.sweeper.sampler": r"optuna\.samplers\.[A-Z]\w*",
}

# What logging may build, and what a handler may be told. Other keys call what they name, or set any attribute.
LOGGERS = (
    *("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter", "colorlog.ColoredFormatter"),
    "fer_lightning.process.screen_log.ScreenHandler",
)
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
HANDLER = ("class", "level", "formatter", "stream", "filename", "mode", "encoding", "delay")
LOG_FILE = re.compile(r"\$\{hydra\.runtime\.output_dir\}/(\$\{hydra\.job\.name\}|[\w-]+)[\w.-]*")

# Variables that a config file may set. Some of the others make Python or the linker load code; a command may set the rest of them.
HARMLESS = re.compile(r"(OMP|MKL|OPENBLAS|NUMEXPR)_NUM_THREADS|CUDA_VISIBLE_DEVICES|CUBLAS_WORKSPACE_CONFIG|HF_HUB_OFFLINE|WANDB_MODE")
LOADING = re.compile(r"(PYTHON|LD_|DYLD_|HYDRA_|GIT_).*|PATH|FER_LIGHTNING_PACKAGES|.*(PLUGIN|INJECTION|PRELOAD|LIBRAR).*")

# What a launcher passes on to a shell, or to another machine to set up.
SHELL = ("setup", "additional_parameters", "runtime_env")


def check_arguments(arguments):
    """Raise ConfigError for an argument with which Hydra would run or write something before it can be checked."""
    for argument in arguments:
        if "pkg://" in argument:
            raise ConfigError(f"{argument}: configs are read from folders. A module is imported, which runs it.")
        # argparse takes every beginning of an option for it.
        if len(name := argument.partition("=")[0]) > 2 and "--experimental-rerun".startswith(name):
            raise ConfigError("--experimental-rerun unpickles a file, which can run anything. A run's overrides.yaml says how to run it.")
        if FIXED.match(argument) or TARGET.match(argument):
            raise ConfigError(f"{argument}: callbacks, logging and targets of Hydra are not set on the command line.")


def check_run(config):
    """The folder of a single run. ConfigError if the run would write outside of it, or if it is above the current one."""
    return _check_folder("hydra.run.dir", _resolved(config, "hydra.run.dir"))


def check_sweep(config, jobs):
    """Raise ConfigError if a job would not have a folder of its own in that of its sweep. jobs: lists of overrides; None: not known yet."""
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
    if "${" in folder:
        raise ConfigError(f"{key}={folder} is a reference again once it is resolved. References are resolved once.")
    if ".." in PurePath(folder).parts:
        raise ConfigError(f"{key}={folder} leads out of the current folder. Give it as an absolute path if you mean it.")
    return folder


def check_hydra(hydra, overrides):
    """Raise ConfigError if Hydra would build, log or set anything but what this program needs.

    hydra: its node, as composed; overrides: of the command, which may say more than a file
    """
    raw = OmegaConf.to_container(hydra, resolve=False)
    if len(raw["overrides"]["hydra"]) + len(raw["overrides"]["task"]) != len(overrides):
        raise ConfigError("hydra.overrides is refused in a file: it would pass for what the command says.")
    for key in ("job.name", "output_subdir"):
        name = OmegaConf.select(hydra, key)
        if name is not None and (PurePath(name).name != name or name == ".." or "${" in name):
            raise ConfigError(f"hydra.{key}={name}: give a plain name, not a path.")
    if raw["callbacks"] != CALLBACKS:
        raise ConfigError(f"hydra.callbacks={raw['callbacks']} is refused: it must be {CALLBACKS}, as in this program's config.yaml.")
    if any("pkg://" in str(place) for place in raw["searchpath"]):
        raise ConfigError(f"hydra.searchpath={raw['searchpath']}: configs are read from folders. A module is imported, which runs it.")
    typed = tuple(override.lstrip("+~").partition("=")[0] for override in overrides)
    for part in ("job_logging", "hydra_logging"):
        _check_logging(f"hydra.{part}", raw[part])
    for name in raw["job"]["env_set"]:
        of_command = f"hydra.job.env_set.{name}" in typed and not LOADING.fullmatch(name)
        if not (of_command or HARMLESS.fullmatch(name) or name in raw["job"]["env_copy"]):
            raise ConfigError(f"hydra.job.env_set.{name} is refused: no config sets it. If you mean it, set {name}=NAME in your shell.")
    for name in ("launcher", "sweeper"):
        _check_plugins(raw[name], f"hydra.{name}")
    for key in raw["sweeper"].get("params") or {}:
        if re.match(r"\W*hydra", key):
            raise ConfigError(f"hydra.sweeper.params.{key} is refused: a study sweeps keys of the jobs, none of Hydra's own.")
    for key, value in _leaves(raw["launcher"], "hydra.launcher"):
        shell = next((word for word in SHELL if f".{word}" in key), None)
        if shell and value and not any(f".{shell}" in name for name in typed):
            raise ConfigError(f"{key}={value!r} is refused in a file, because it runs commands: give it on the command line.")


def settle_plugins(config):
    """Resolve what Hydra builds next, its launcher and its sweeper, so that it builds what is checked here."""
    with read_write(config.hydra), open_dict(config.hydra):
        for name in ("launcher", "sweeper"):
            settled = plain(config.hydra[name], f"hydra.{name}")
            _check_plugins(settled, f"hydra.{name}")
            config.hydra[name] = settled


def _check_plugins(node, key):
    if not isinstance(node, dict):
        raise ConfigError(f"{key}={node} is refused: choose an option of the group {key.replace('.', '/')}.")
    for place, target in _targets(node, key):
        if not (isinstance(target, str) and re.fullmatch(PLUGINS.get(place, "(?!)"), target)):
            raise ConfigError(f"{place}._target_={target} is refused: Hydra's own nodes may name its launchers, sweepers and our callback.")


def _check_logging(key, node):
    handlers = (node.get("handlers") or {}) if isinstance(node, dict) else None
    if not isinstance(handlers, dict) or not all(isinstance(one, dict) and set(one) <= set(HANDLER) for one in handlers.values()):
        raise ConfigError(f"{key}.handlers={handlers} is refused: a handler has {', '.join(HANDLER)}.")
    for name, value in _leaves(node, key):
        words = name.removeprefix(key).split(".")
        file = words[-1] == "filename"
        if file and not (LOG_FILE.fullmatch(str(value)) and ".." not in str(value)):
            raise ConfigError(f"{key}: {value} is not in the folder of the run.")
        wrong = words[-1] in ("()", "class") and value not in LOGGERS
        wrong |= isinstance(value, str) and not file and ("${" in value or ("://" in value and value not in STREAMS))
        if wrong:
            raise ConfigError(f"{name}={value!r} is refused: the log goes to the screen and to the folder of the run.")


def _leaves(node, key):
    """(key, value) of every value that is no container."""
    if isinstance(node, (dict, list)):
        for name, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(child, f"{key}.{name}")
    else:
        yield key, node


def _targets(node, key):
    """(key, target) of every node with a `_target_`."""
    if isinstance(node, dict) and "_target_" in node:
        yield key, node["_target_"]
    for name, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from _targets(child, f"{key}.{name}")


def _resolved(config, key):
    HydraConfig.instance().set_config(config)  # for ${hydra:...}
    return str(OmegaConf.select(config, key))
