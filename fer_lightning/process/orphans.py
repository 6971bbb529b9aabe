"""A process that works for another one ends when that one is gone, even after `kill -9`, which nobody is told of.

A thread asks once a second who the parent is: the kernel gives an orphan another one on Linux, macOS and BSD. On Windows it does not, and
nothing happens. Linux' PR_SET_PDEATHSIG would be quicker, but it goes by the *thread* that started the process, and joblib starts some
in threads that end.
"""

import multiprocessing
import os
import signal
import threading
import time

from fer_lightning.process.signals import pending

POLL_S = 1.0

_watched = threading.Event()


def end_with_parent(grace, stop=None):
    """End this process when the one that started it for its work has died. Does nothing in a process that a user started.

    grace: seconds for a job to end as after SIGTERM, with a checkpoint at its next step
    stop:  an event that the parent may set to end this process in the same way
    """
    parent = multiprocessing.parent_process()
    if parent is None or _watched.is_set():
        return
    _watched.set()
    threading.Thread(target=_watch, args=(parent.pid, grace, stop), daemon=True).start()


def _watch(parent, grace, stop):
    while os.getppid() == parent and not (stop and stop.is_set()):
        time.sleep(POLL_S)
    until = time.monotonic() + grace
    if not pending():  # Ctrl-C in a terminal reaches parent and child; a second signal would not wait for the end of a step
        os.kill(os.getpid(), signal.SIGTERM)  # the end of a process that does nothing
    while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL and time.monotonic() < until:
        time.sleep(POLL_S)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
