"""Whose a folder is. What this project did not write is never replaced, and a finished run is not replaced by another one.

A run is written to a folder that is new, has no file in it, or holds a run of ours; a study to one that is new, has no file, or holds
a study of ours. All of it is checked before anything is written.
"""

import os
import re
from pathlib import Path

from fer_lightning.config.identity import digest, training_config
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.process.files import check_writable
from fer_lightning.runs.config_files import read_config, read_settings
from fer_lightning.runs.layout import LAST, LOCK, METRICS, PREDICTIONS, RESULT, STEPS, checkpoints_of, run_folders
from fer_lightning.runs.result import read_result
from fer_lightning.runs.study_file import LEDGER
from fer_lightning.safety.untrusted_files import read_text

# Keys of the root of every config of ours; another program of Hydra's also has a folder .hydra.
ROOT_KEYS = {"backbone", "head", "protocol", "stability"}

# What a report and a sweep replace in the folder of a study, with what every such file of ours says.
REPORT = {"report.md": r"\d+ of \d+ jobs done", "report.html": r"\d+ of \d+ jobs done", "results.csv": r"name,.*\bseed,status,"}
SWEEP = REPORT | {"multirun.yaml": "fer_lightning.sweep.callback"}

SHOWN = 4


def check_run_folder(folder, settings, finished_only=False):
    """ConfigError if the run of these settings must not be written to a folder.

    settings:      of the job, as `training_config` makes them
    finished_only: a run that was stopped and has other settings may be replaced
    """
    folder = Path(folder).absolute()
    _check_place(folder, "run")
    if (folder / LEDGER).exists():
        raise ConfigError(f"{folder} holds a study. {_elsewhere('run')}")
    if not is_run_of_ours(folder):
        _refuse_files(folder, "run", _may_come_first)
        return
    for name in (RESULT, METRICS, PREDICTIONS, STEPS, checkpoints_of(folder).name, ".hydra"):
        if (folder / name).is_symlink():
            raise ConfigError(f"{folder / name} is a link, and a run writes to its own folder only. Remove the link. {_elsewhere('run')}")
    there = _result(folder)
    done = there.get("status") == "done"
    if not done and (finished_only or not (checkpoints_of(folder) / LAST).exists()):
        return
    if not there or there["job"]["id"] != digest(settings):
        changed = difference(_settings_of(folder), settings) or ("its identity" if there else "")
        kind = "a finished run" if done else "a run that can be continued, but"
        if changed:
            raise ConfigError(f"{folder} holds {kind} with other settings ({changed}). {_elsewhere('run')}")


def check_study_folder(folder, base, axes, names):
    """ConfigError if a study must not be written to a folder. That a study of ours has the same settings is checked with its ledger.

    base:  what its jobs have in common, as `training_config` makes it
    axes:  the swept keys
    names: of the folders of its jobs, as far as known
    """
    folder = Path(folder).absolute()
    _check_place(folder, "sweep")
    if is_run_of_ours(folder):
        raise ConfigError(f"{folder} holds a run. {_elsewhere('sweep')}")
    if not (folder / LEDGER).exists():
        runs = {run: result for run in run_folders(folder) if (result := _result(run)) and result["job"].get("study")}
        if not runs:
            _refuse_files(folder, "sweep")
        for run, result in runs.items():
            changed = result["status"] == "done" and difference(_settings_of(run, (*axes, "seed")), base)
            if changed:
                raise ConfigError(f"{run} holds a finished run with other settings ({changed}). {_elsewhere('sweep')}")
    check_replaced(folder, SWEEP)
    for name in names:
        if not is_run_of_ours(folder / name):
            _check_place(folder / name, "sweep")
            _refuse_files(folder / name, "run", _may_come_first)


def check_replaced(folder, files=REPORT):
    """UserError if one of the files that are about to be replaced is not of ours."""
    for name, pattern in files.items():
        path = Path(folder) / name
        if os.path.lexists(path) and not _says(path, pattern):
            raise ConfigError(f"{path} is not of this program, which would replace it. Move it, or choose another folder.")


def check_output(path, pattern):
    """UserError if a file that the user names cannot be written, or holds something that this command did not write.

    pattern: what every such file of ours says; an empty file may be replaced too
    """
    check_writable(path)
    check_replaced(path.parent, {path.name: rf"\A(\Z|{pattern})"})


def difference(there, now):
    """The keys in which two flat configs differ, with both values; empty if they are equal."""
    changed = [key for key in sorted(there.keys() | now.keys()) if there.get(key) != now.get(key)]
    return "; ".join(f"{key}: {there.get(key)} there, {now.get(key)} now" for key in changed[:8]) + ("; ..." if len(changed) > 8 else "")


def is_run_of_ours(folder):
    """Whether a folder holds a run, of which the config or the result can be read."""
    return bool(_has_config(folder) or _result(folder))


def _has_config(folder):
    try:
        return read_settings(folder).keys() >= ROOT_KEYS
    except (OSError, ValueError):
        return False


def _result(folder):
    """The result.json of a run of ours, else an empty dict."""
    try:
        result = read_result(folder)
        return result if isinstance(result["job"]["id"], str) else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _settings_of(folder, without=()):
    try:
        return training_config(read_config(folder), without)
    except UserError as error:
        return {"its config": f"unreadable ({error})"}


def _check_place(folder, kind):
    if os.path.lexists(folder) and not folder.is_dir():
        raise ConfigError(f"{folder} is {'a link to nothing' if folder.is_symlink() else 'a file'}. {_elsewhere(kind)}")


def _may_come_first(path):
    """Whether a job that was killed in its first moments may have left this: its lock, its log, the beginning of its config."""
    if path.name == ".hydra" and path.is_dir():
        return all(child.name.startswith(".") for child in path.iterdir())
    return path.name == LOCK or path.suffix == ".log"


def _refuse_files(folder, kind, may_be=lambda path: False):
    """ConfigError if there is a file in or below a folder, except below what may be there."""
    found = [path.name for path in sorted(folder.iterdir()) if _holds_file(path) and not may_be(path)] if folder.is_dir() else []
    if found:
        names = ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
        raise ConfigError(f"{folder} holds something else than a {kind} of this program: {names}. {_elsewhere(kind)}")


def _holds_file(path):
    return not path.is_dir() or path.is_symlink() or any(files for _, _, files in os.walk(path))


def _says(path, pattern):
    try:
        return re.search(pattern, read_text(path)) is not None
    except (OSError, ValueError):
        return False


def _elsewhere(kind):
    return f"Choose a folder of its own with {'hydra.run.dir=outputs/NAME' if kind == 'run' else 'hydra.sweep.dir=multirun/NAME'}."
