"""The lock of a run folder: one process at a time works on a job.

The kernel releases it when its owner dies, however that happens, so no clock and no heartbeat decide who is dead. On a network file system
the file server does the same, once it misses the owner's machine.
"""

import logging
import time
from contextlib import contextmanager
from pathlib import Path

from fer_lightning.process.locks import NoLocksError, acquire, file_lock, release
from fer_lightning.runs.layout import LOCK, drop_left_overs

log = logging.getLogger(__name__)

# `is_locked` takes the lock for some microseconds, so who wants it tries for longer.
PATIENCE_S = 0.5

POLL_S = 1.0


@contextmanager
def locked(folder):
    """Lock a run folder for the block. Yields False if another process has it. What a killed process left half-written is removed."""
    lock = file_lock(Path(folder) / LOCK)
    try:
        ours = acquire(lock, PATIENCE_S)
    except NoLocksError as error:
        log.warning("%s lies on a file system without locks (%s): do not let two processes work on this study", folder, error)
        yield True
        return
    try:
        if ours:
            drop_left_overs(folder)
        yield ours
    finally:
        if ours:
            release(lock)


def is_locked(folder):
    """Whether a process has locked the run folder."""
    lock = file_lock(Path(folder) / LOCK)
    try:
        if not acquire(lock, 0):
            return True
    except OSError:  # no locks, or the folder is gone
        return False
    release(lock)
    return False


def leave_to_others(folder, key):
    """Note that this sweep has left a run folder to another process. key: distinguishes the sweep from others of the study."""
    with open(_left(folder.parent, key), "a", encoding="utf-8") as file:
        file.write(f"{folder.name}\n")


def wait_for_others(study, key):
    """Wait until no run folder that this sweep has left to others is locked. Returns whether it left any: they may not be done."""
    path = _left(study, key)
    if not path.exists():
        return False
    names = path.read_text("utf-8").split()
    path.unlink()
    if running := [name for name in names if is_locked(study / name)]:
        print(f"waiting for jobs that other processes run: {', '.join(running)}", flush=True)
    while any(is_locked(study / name) for name in running):
        time.sleep(POLL_S)
    return True


def _left(study, key):
    return study / f".left-{key}"
