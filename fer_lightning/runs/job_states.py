"""The state of each job of a study, from the files that it writes while it runs, whatever launched it."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import OVERRIDES, read_overrides, read_settings
from fer_lightning.runs.layout import METRICS, RESULT
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.runs.study_file import LEDGER, read_ledger

# A job is silent after so many of its epochs without a new row, and at least ten minutes: testing writes no row.
SILENT_EPOCHS = 5
SILENT_S = 600
# Before the first row: data are read, weights may be fetched, and the time of an epoch is not known.
SILENT_START_S = 3600
# The time of a file from a stranger's archive may be any; a datetime ends with the year 9999.
LATEST = datetime(9990, 1, 1).timestamp()


@dataclass(frozen=True)
class Job:
    """name:         of its folder
    status:       as in result.json; silent: recorded as running, but shows no sign of life; unreadable: its result.json is damaged
    since:        when this status began; of a silent job, its last sign of life
    cell:         {swept key: value} without the seed; None for a single run, and before anything is recorded
    epoch:        how many epochs it has done, of `epochs`; None if not known
    val_accuracy: of the last epoch; of a done job, of the selected one
    epoch_s:      mean seconds an epoch; total_s: seconds that a done job took
    message:      what went wrong, in one line
    """

    name: str
    status: str
    since: datetime
    overrides: tuple = ()
    cell: dict | None = None
    epoch: int | None = None
    epochs: int | None = None
    val_accuracy: float | None = None
    epoch_s: float | None = None
    total_s: float | None = None
    message: str | None = None


@dataclass(frozen=True)
class Study:
    """jobs:      a Job for each run folder in `folder`
    to_do:     overrides of the jobs that have no run folder yet
    undecided: whether more may come, because the sweeper chooses its jobs as it goes
    """

    folder: Path
    jobs: list
    to_do: list
    undecided: bool


def is_run(folder):
    """Whether a folder is that of a job, even one that has only just begun. While Hydra writes, its files are empty."""
    return (folder / RESULT).exists() or _if_readable(read_overrides, folder) is not None


def find_studies(folder):
    """[folder] if it is a study (it has study.json, or run folders gathered by hand), else the studies directly below it.

    UserError if there is none.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Name the folder of a study, such as multirun/NAME, of several, or of one run.")
    studies = [folder] if _is_study(folder) else [path for path in _folders(folder) if _is_study(path)]
    if not studies:
        raise UserError(f"{folder} holds no study and no run: no {LEDGER} and no {RESULT} in it or below it.")
    return studies


def read_study(folder, now):
    """The Study in a folder. now: seconds since the epoch. DataError if study.json is damaged."""
    jobs = [read_job(path, now) for path in _folders(folder) if is_run(path)]
    ledger = read_ledger(folder)
    if ledger is None:
        return Study(folder, jobs, [], undecided=False)
    planned, axes = ledger["jobs"], ledger["axes"]
    if planned is None:
        # A sweep writes study.json when it begins, and its report when it ends.
        return Study(folder, jobs, [], undecided=_changed(folder / "report.md") < _changed(folder / LEDGER))
    begun = {place(job.overrides, axes) for job in jobs}
    to_do = {place(overrides, axes): overrides for overrides in planned}
    return Study(folder, jobs, [overrides for place, overrides in to_do.items() if place not in begun], undecided=False)


def read_job(folder, now):
    """The Job of a run folder at any moment, even if files are missing or unfinished. now: seconds since the epoch."""
    begun, written = _changed(folder / OVERRIDES), _changed(folder / RESULT)
    try:
        result = read_result(folder)
        status, about = (None, {}) if result is None else (result["status"], _about(result["job"]))
    except FileNotFoundError:  # another attempt has just cleared the folder
        status, about = None, {}
    except (ValueError, TypeError, KeyError) as error:
        message = f"{RESULT} is damaged: {type(error).__name__}, {error}"
        return Job(folder.name, "unreadable", _time(written), _overrides(folder), message=message)
    # Another attempt may have begun and not yet cleared the folder. One second or more: the files of a copied folder are all new.
    if status is None or (status != "done" and begun > written + 1):
        overrides = _overrides(folder) or about.get("overrides", ())
        return Job(folder.name, overrides=overrides, epochs=_epochs(folder), **_life({}, started=begun, seen=begun, epoch_s=None, now=now))
    if status == "running":
        epoch, accuracy = _last_row(folder)
        # Both times are of files, by one clock, which may be another machine's.
        seen = _changed(folder / METRICS) if epoch else written
        epoch_s = max(0.0, seen - written) / epoch if epoch else None
        progress = {"epoch": epoch, "epochs": _epochs(folder), "val_accuracy": accuracy, "epoch_s": epoch_s}
        life = _life(result.get("environment") or {}, started=written, seen=seen, epoch_s=epoch_s, now=now)
        return Job(folder.name, **about, **progress, **life)
    return Job(
        folder.name,
        status,
        _time(written),
        **about,
        val_accuracy=((result.get("metrics") or {}).get("val") or {}).get("accuracy"),
        total_s=(result.get("time") or {}).get("total_s"),
        message=((result.get("error") or {}).get("message") or "").partition("\n")[0] or None,
    )


def _about(job):
    """Overrides and cell of the job of a result.json. The cell of a single run is empty and tells it from no other, so it is None."""
    return {"overrides": tuple(job["overrides"]), "cell": job["cell"] if job["study"] else None}


def _life(environment, *, started, seen, epoch_s, now):
    """Status, since when and why of a job that is recorded as running. started, seen: when it began and when it last wrote."""
    why = _silence(environment, now - seen, epoch_s)
    return {"status": "silent" if why else "running", "since": _time(seen if why else started), "message": why}


def _silence(environment, quiet_s, epoch_s):
    """Why a job that is recorded as running has probably stopped; None for a job that shows signs of life."""
    here = type(environment.get("pid")) is int and environment.get("host") == socket.gethostname()
    if here and not _lives(environment["pid"]):
        return f"its process ({environment['pid']}) is gone"
    if epoch_s is None:
        return None if here or quiet_s < SILENT_START_S else "no epoch yet"
    return None if quiet_s < max(SILENT_S, SILENT_EPOCHS * epoch_s) else "no new epoch"


def _lives(pid):
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process has so large a number
        return False
    except PermissionError:
        pass  # it is another user's
    return True


def _last_row(folder):
    """(epochs done, validation accuracy or None) by the last row of metrics.csv; (None, None) before the first."""
    *_, last = _if_readable(read_metrics, folder) or [None]
    return (None, None) if last is None else (int(last["epoch"]) + 1, last.get("val/accuracy"))


def _overrides(folder):
    return _if_readable(read_overrides, folder) or ()


def _epochs(folder):
    """How many epochs a job trains by its config; None if it does not say."""
    config = _if_readable(read_settings, folder) or {}
    trainer = config.get("trainer")
    # The trainer's number is usually a reference to the root's.
    known = (trainer.get("max_epochs") if isinstance(trainer, dict) else None, config.get("epochs"))
    return next((epochs for epochs in known if isinstance(epochs, int)), None)


def _if_readable(read, folder):
    """What a reader of runs/ gives; None if the file is not there yet, is still being written, or is damaged."""
    try:
        return read(folder)
    except (OSError, ValueError):
        return None


def place(overrides, axes):
    """What identifies a job within its study: the swept keys and the seed, as written. Other keys may differ between attempts."""
    written = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    return tuple(written.get(key) for key in (*axes, "seed"))


def _is_study(folder):
    return (folder / LEDGER).exists() or any(is_run(path) for path in _folders(folder))


def _folders(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _changed(path):
    """When a file was last written, in seconds since the epoch; 0 if there is none."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _time(seconds):
    return datetime.fromtimestamp(min(max(0, seconds), LATEST)).astimezone()
