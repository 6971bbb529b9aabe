"""Ctrl-C and SIGTERM: asked once, a training ends at its next step and everything else at once; asked twice, all ends at once."""

import signal
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The user or the system asked to stop. No `Exception`: nothing that goes on after a failure goes on after this."""

    def __init__(self, signum):
        super().__init__(signum)  # as it travels between processes
        self.code = 128 + signum  # what a shell shows of a process that a signal ended

    def __str__(self):
        return signal.Signals(*self.args).name


class _Waiting:
    """Which signal waits for the end of a step; None where none does."""

    steps = False
    signum = None


def answer(signum, frame=None):
    """The handler of both signals."""
    if _Waiting.steps and _Waiting.signum is None:
        _Waiting.signum = signum
    else:
        raise Interrupted(signum)


def listen(handler=answer):
    """Have a handler answer both signals from now on. Returns those before; signals are the main thread's: in another one, does nothing."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {signum: signal.signal(signum, handler) for signum in SIGNALS}


@contextmanager
def listening(handler=answer):
    """Have a handler answer both signals in here."""
    before = listen(handler)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextmanager
def held():
    """A signal in here waits for the end: SLURM sends SIGTERM a tenth of a second after what has made the job record its end."""
    came = []
    with listening(lambda signum, frame: came.append(signum)):
        yield
    if came:
        raise Interrupted(came[0])


@contextmanager
def between_steps():
    """A first signal in here waits until `raise_if_asked` is called, or for the end."""
    _Waiting.steps, _Waiting.signum = True, None
    try:
        yield
    finally:
        _Waiting.steps = False
    raise_if_asked()


def asked():
    return _Waiting.signum is not None


def raise_if_asked():
    """Raise the Interrupted that waits, if one does."""
    if asked():
        signum, _Waiting.signum = _Waiting.signum, None
        raise Interrupted(signum)
