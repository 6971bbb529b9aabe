"""Errors of Hydra, OmegaConf and the system in one plain sentence that says what would be right."""

import errno
import re
import shutil
import sys
from pathlib import Path

from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from fer_lightning.process.errors import UserError, near

# Packages whose errors mean that a job was lost with its process or its machine. Errors inside a job are caught in the job.
LAUNCHERS = ("joblib", "ray", "submitit")


def lost_job(error):
    """Whether a launcher gave up because a job ended without an error: killed, out of memory, cancelled, or its machine is gone."""
    return type(error).__module__.partition(".")[0] in LAUNCHERS


def root_cause(error):
    """The error that a target raised, without what Hydra wrapped around it."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def explain(error):
    """What is wrong, where, and what would be right; None for an error that is not caused by an input of the user."""
    cause = root_cause(error)
    if isinstance(cause, UserError):
        return str(cause)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        close = near(option, error.options)
        others = "" if close.startswith("There are") else f" Choose one of: {', '.join(error.options)}."
        return f"{group}={option}: there is no such option. {close}{others}"
    if isinstance(error, ValueError) and "Config group override must be a string or a list" in str(error):
        null = next((a for a in sys.argv[1:] if a.endswith("=null")), "a group set to null")
        return f"{null}: a config group needs one of its options by name; to choose nothing, take the option none."
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _composition(error)
    if lost_job(error):
        reason = str(error).strip().partition("\n")[0]
        return f"A job was lost with its process ({type(error).__name__}: {reason}). What is done is kept; the same command runs the rest."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search("out of memory|can't allocate memory", str(error))):
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"out of memory ({reason}). Take a smaller batch_size, or on_oom=halve to retry with half of it, two batches per step."
    return None


def _full(error):
    """Which disk is full, and how much is free."""
    place = Path(error.filename or ".").absolute()
    folder = next(path for path in (place, *place.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free / 1e6
    return f"{place}: the disk is full ({free:.1f} MB free). Make room; in a sweep, study.rerun=failed then continues the job."


def _composition(error):
    """Hydra's message, then its cause, then the nearest names if a key is unknown."""
    below = error.__cause__ or error.__context__
    reason = below if isinstance(below, OmegaConfBaseException) else error
    lines = [str(error).strip()]
    if str(reason).splitlines()[0] not in lines[0]:
        lines.append(str(reason).splitlines()[0])
    if isinstance(reason, ConfigAttributeError | ConfigKeyError) and reason.parent_node is not None:
        key = str(reason.key)
        lines.append(f"Did you mean {key.replace('/', '.')}?" if "/" in key else near(key, reason.parent_node.keys()))
    return "\n".join(lines)
