"""Errors of Hydra, OmegaConf and the system in one plain sentence that says what would be right."""

import errno
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from fer_lightning.process.errors import UserError, near

# Packages whose errors mean that a job was lost with its process or its machine. Errors inside a job are caught in the job.
LAUNCHERS = ("joblib", "ray", "submitit")

# What to do about other errors of the system. The rest are faults of this program.
ELSEWHERE = "Choose another folder with hydra.run.dir=..., in a sweep hydra.sweep.dir=..."
SYSTEM = {
    errno.EFBIG: "Files may not become as large here: raise the limit (ulimit -f unlimited), or choose another file system.",
    errno.EROFS: ELSEWHERE,
    errno.EACCES: f"Change the permissions. {ELSEWHERE}",
    errno.EPERM: f"Change the permissions. {ELSEWHERE}",
    errno.ENOTDIR: f"A file is where a folder has to be. {ELSEWHERE}",
    errno.ENAMETOOLONG: ELSEWHERE,
    errno.ELOOP: f"It is a link. {ELSEWHERE}",
    errno.EMFILE: "Raise the limit of open files (ulimit -n 4096).",
    errno.ENFILE: "This machine has no more files to open: end other programs.",
    errno.EIO: "The disk or the file server does not answer as it should. The same command goes on when it does.",
    errno.ESTALE: "The file server has lost the file. The same command goes on when it is back.",
    errno.ENOTCONN: "The file server is gone. The same command goes on when it is back.",
}


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
    if isinstance(cause, OSError) and (sentence := _refused(cause)):
        return sentence
    if "database or disk is full" in str(error):  # SQLite's, of a search or of MLflow
        return _full(OSError(errno.ENOSPC, str(error)))
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search("out of memory|can't allocate memory", str(error))):
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"out of memory ({reason}). Take a smaller batch_size, or on_oom=halve to retry with half of it, two batches per step."
    return None


def _refused(error):
    """What the system, or a file server, refuses; None if the fault is likely in this program."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(error)
    if error.errno in SYSTEM:
        return f"{error.filename or 'A file'}: {os.strerror(error.errno)}. {SYSTEM[error.errno]}"
    if error.filename and not (folder := Path(os.fsdecode(error.filename)).parent).exists():
        return f"{folder} is gone: somebody removed or moved it while it was in use. The same command makes it again."
    return None


def _full(error):
    """Which disk is full, and of what. Some errors name no file; then it is the first full one of those that a job writes to."""
    again = "in a sweep, study.rerun=failed then continues the job."
    if error.filename:
        place = Path(os.fsdecode(error.filename)).absolute()
        return f"{place}: the disk is full ({_free(place)}). Make room; {again}"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    output = HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else "."
    for place in map(Path, (output, tempfile.gettempdir(), cache, ".")):
        if "no " in (free := _free(place)):
            return f"{place.absolute()}: the disk is full ({free}). Make room; {again}"
    return f"A disk is full, and the system does not say which one ({error.strerror}). Make room; {again}"


def _free(place):
    """What is left on the disk of a file or folder, which need not exist yet."""
    folder = next(path for path in (place.absolute(), *place.absolute().parents) if path.is_dir())
    if not hasattr(os, "statvfs"):  # Windows
        return f"{shutil.disk_usage(folder).free / 1e6:.1f} MB free"
    disk = os.statvfs(folder)
    if disk.f_files and not disk.f_favail:
        return "no inode free: it holds as many files as it can"
    free = disk.f_bavail * disk.f_frsize
    if free < 1 << 20:
        return f"no space: {free / 1e6:.1f} MB free"
    return f"{free / 1e6:.1f} MB free; if that is enough, a quota is used up"


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
