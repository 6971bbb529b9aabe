"""Ctrl-C, SIGTERM and SIGHUP. A first signal ends a training at its next step and everything else at once; a second one ends all at once.

SIGHUP comes when a terminal goes, as with an ssh connection; `nohup` makes a process deaf to it, and deaf it stays.
"""

import os
import signal
import stat
import threading
from contextlib import contextmanager

HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none

SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANGUP)))


class Interrupted(BaseException):
    """The user or the system asked to stop. No `Exception`: nothing that continues after a failure continues after this."""

    def __init__(self, signum):
        super().__init__(signum)  # as it travels between processes
        self.code = 128 + signum  # what a shell shows of a process that a signal ended

    def __str__(self):
        return signal.Signals(*self.args).name


class _Waiting:
    """steps: whether signals wait for the end of a step; signum: of the signal that waits, or None"""

    steps = False
    signum = None


def answer(signum, frame=None):
    """The handler of all signals."""
    if _Waiting.steps and _Waiting.signum is None:
        _Waiting.signum = signum
    else:
        raise Interrupted(signum)


def listen(handler=answer):
    """Install a handler for all signals. Returns the previous ones. Only the main thread can: in another one this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        return {}

    def hear(signum, frame):
        if signum == HANGUP:
            _leave_terminal()
        handler(signum, frame)

    heard = (signum for signum in SIGNALS if signum != HANGUP or signal.getsignal(signum) is not signal.SIG_IGN)
    return {signum: signal.signal(signum, hear) for signum in heard}


def _leave_terminal():
    """Write to nowhere what would go to a terminal that is gone: each attempt would raise an error, also while the job records its end."""
    for output in (1, 2):
        try:
            gone = stat.S_ISCHR(os.fstat(output).st_mode) and not os.isatty(output)
        except OSError:  # closed
            continue
        if gone:
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)


@contextmanager
def listening(handler=answer):
    """Install a handler for all signals until the end of the block."""
    before = listen(handler)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def deferred():
    """A signal waits for the end of the block: SLURM sends SIGTERM 0.1 s after the signal that makes the job record its end."""
    came = []
    with listening(lambda signum, frame: came.append(signum)):
        yield
    if came:
        raise Interrupted(came[0])


@contextmanager
def between_steps():
    """A first signal waits until `raise_pending` is called, or for the end of the block."""
    _Waiting.steps, _Waiting.signum = True, None
    try:
        yield
    finally:
        _Waiting.steps = False
    raise_pending()


def pending():
    """Whether a signal waits for the end of a step."""
    return _Waiting.signum is not None


def raise_pending():
    """Raise the Interrupted of the signal that waits, if one does."""
    if pending():
        signum, _Waiting.signum = _Waiting.signum, None
        raise Interrupted(signum)
