"""Locks on files. The kernel releases one when its owner dies, however that happens, so no clock decides who is dead."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout


class NoLocksError(OSError):
    """The file system has no locks."""


def file_lock(path):
    try:
        # Not a file that stands for a lock, which outlives its owner.
        return FileLock(path, fallback_to_soft=False)
    except TypeError:  # an older filelock, which raises NotImplementedError instead
        return FileLock(path)


def acquire(lock, timeout):
    """Acquire a lock. False if another one has it for so many seconds; NoLocksError if the file system has no locks."""
    try:
        lock.acquire(timeout=timeout)
        return True
    except Timeout:
        # Some file systems answer EACCES to each attempt, as if another process always had the lock.
        if _can_lock(Path(lock.lock_file).parent):
            return False
        raise NoLocksError("every lock is refused") from None
    except NotImplementedError as error:
        raise NoLocksError("no locks") from error
    except OSError as error:
        if error.filename is not None:  # the file cannot be opened: the folder is read-only, or the disk is full
            raise
        raise NoLocksError(error.strerror) from error


def release(lock):
    with suppress(OSError):  # of a file server that is gone; closing the file releases it too
        lock.release()


@cache
def _can_lock(folder):
    """Whether a file that nobody else knows can be locked."""
    lock = file_lock(folder / f".{uuid4().hex}.lock")
    try:
        lock.acquire(timeout=0)
        release(lock)
        return True
    except (OSError, Timeout, NotImplementedError):
        return False
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
