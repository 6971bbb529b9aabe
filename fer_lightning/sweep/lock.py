"""One process a job: the lock of a run folder.

The kernel holds it and lets go when its owner dies, however that happens; so no clock and no heartbeat decide who is dead. Over a network
the file server does the same, once it has missed the owner's machine.
"""

import logging
import time
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

FILE = ".lock"

# A look at a lock (`is_held`) holds it for some microseconds, so whoever wants it tries for longer.
PATIENCE_S = 0.5

POLL_S = 1.0


@contextmanager
def held(folder):
    """Whether this process has the run folder to itself in here: False where another one has it."""
    lock = FileLock(Path(folder) / FILE)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        yield False
        return
    except NotImplementedError:
        log.warning("%s lies on a file system without locks: do not let two processes work on this study", folder)
        yield True
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(folder):
    """Whether a process holds the run folder now."""
    try:
        with FileLock(Path(folder) / FILE).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except NotImplementedError:
        return False


def leave_to_others(folder, key):
    """Note that this sweep has left a run folder to another process. key: tells the sweep from others of the study."""
    with open(_left(folder.parent, key), "a") as file:
        file.write(f"{folder.name}\n")


def wait_for_others(study, key):
    """Wait until nobody holds the run folders that this sweep has left to others. Returns whether it left any: they may not be done."""
    path = _left(study, key)
    if not path.exists():
        return False
    names = path.read_text().split()
    path.unlink()
    print(f"waiting for jobs that other processes run: {', '.join(names)}", flush=True)
    while any(is_held(study / name) for name in names):
        time.sleep(POLL_S)
    return True


def _left(study, key):
    return study / f".left-{key}"
