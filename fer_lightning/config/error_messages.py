"""Errors of Hydra, OmegaConf and the system in one plain sentence that says what would be right."""

import errno
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from fer_lightning.config.trainer_keys import INSTEAD
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
    output = HydraConfig.get().runtime.get("output_dir", ".") if HydraConfig.initialized() else "."  # a sweep has none
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
    """An error of Hydra or OmegaConf: what was typed, what is wrong with it, and what to type instead."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if lines[0].startswith("Ambiguous value for argument"):
        override = lines[0].split("'", 1)[1].rstrip("'")
        key, _, value = override.partition("=")
        return f"Ambiguous value: {override}. Add --multirun (-m) for a job with each; one list is written {key}=[{value}]."
    below = error.__cause__ or error.__context__
    reason = below if isinstance(below, OmegaConfBaseException) else error
    why = str(reason).splitlines()[0]
    if isinstance(reason, ConfigAttributeError | ConfigKeyError) and reason.parent_node is not None:
        return _unknown_key(lines[0], str(reason.key), reason.parent_node)
    if lines[0].startswith("Error merging override "):
        kind = next((words for name, words in KINDS.items() if why.endswith(name)), None)
        kind = f"{kind}, or null for none" if kind and "'none'" in why.lower() else kind
        return f"{lines[0].removeprefix('Error merging override ')}: {why.rstrip('.')}{f'; give {kind}' if kind else ''}."
    if lines[0].startswith("Could not append to config"):
        return f"{lines[0].rstrip('.')}: leave out the plus, or write two to replace it."
    return " ".join([lines[0]] if why in lines[0] else [lines[0], why])


# What to give where OmegaConf says that a value "could not be converted to" this.
KINDS = {"Integer": "a whole number", "Float": "a number", "Bool": "true or false", "bool": "true or false"}

# Hydra's functions in the value of an override.
FUNCTIONS = ("choice", "range", "interval", "glob", "shuffle", "sort", "tag", "int", "float", "str", "bool", "json_str", "extend_list")


def _unknown_key(line, key, node):
    """line: Could not override 'optimizer.momentun'. node: the one that lacks the key"""
    line = line.rstrip(".")
    if "'" + key not in line and not line.startswith("Could not override"):  # in a file
        return f"{line.partition(': ')[0]}: there is no key {key}. {near(key, node.keys())}"
    if f"'trainer.{key}'" in line and key in INSTEAD:
        return f"{line}: {INSTEAD[key]}."
    if "/" in key:
        return f"{line}: there is no such key. Did you mean {key.replace('/', '.')}?"
    if not node:
        whole = line.partition("'")[2].rstrip("'")
        if whole.endswith("._target_"):  # of a node that is open
            return f"{line}: this mapping is empty; write +{whole}=VALUE."
        return f"{line}: this mapping is empty; write +{f'{whole}.'.partition(f'.{key}.')[0].rstrip('.')}={{{key}:VALUE}}."
    close = near(key, node.keys())
    inside = [f"{name}.{key}" for name in node if isinstance(child := node._get_node(name), DictConfig) and child and key in child]
    if inside:
        return f"{line}: there is no such key. Did you mean {' or '.join(inside)}?"
    target = node._get_node("_target_") if "_target_" in node else None
    if target is None or not close.startswith("There are"):
        return f"{line}: there is no such key. {close}"
    full = line.partition("'")[2].rstrip("'")
    return f"{line}: there is no such key. {close} If {target} has an argument {key}, add it with a plus: +{full}=VALUE."


def _unreadable(override):
    """What to say of an override that Hydra's grammar does not have."""
    key, equals, value = override.partition("=")
    if value.rstrip().endswith(","):
        return f"{override} ends with a comma: write the values without spaces, and none after the last comma."
    function = re.match(r"(\w+)\(", value)
    if function and function[1] not in FUNCTIONS:
        return f"{override}: there is no function {function[1]}. {near(function[1], FUNCTIONS)}"
    if function:
        return f"{override} cannot be read: {function[1]} does not take these arguments, or the shell has changed them (quote the whole)."
    if not equals:
        return f"{override} is no KEY=VALUE."
    return f"{override} cannot be read. A value with spaces or special characters has two pairs of quotes: '{key}=\"{value}\"'."
