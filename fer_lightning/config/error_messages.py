"""Errors of Hydra, OmegaConf and the system in one plain sentence that says what would be right."""

import errno
import re
import shutil
import sys
from pathlib import Path

from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
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
    if "/" in key:
        return f"{line}: there is no such key. Did you mean {key.replace('/', '.')}?"
    if not node:
        whole = line.partition("'")[2].rstrip("'")
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
