"""Which signals end what, and what happens when the terminal or the parent is gone."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from fer_lightning.process.signals import Interrupted, listen, listening


def test_a_hangup_interrupts_as_sigterm_does():
    with pytest.raises(Interrupted) as stop, listening():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(1)
    assert stop.value.code == 129 and str(stop.value) == "SIGHUP"


def test_a_process_that_nohup_made_deaf_stays_deaf():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.SIGHUP not in listen(signal.default_int_handler)
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


LOST = """
import sys, time
from fer_lightning.process.signals import Interrupted, listening
try:
    with listening():
        print("ready", flush=True)
        time.sleep(60)
except Interrupted as stop:
    print("after", flush=True)  # to a terminal that is gone
    print("after", file=sys.stderr, flush=True)
    open(sys.argv[1], "w").write(str(stop))
    sys.exit(stop.code)
"""


def test_what_is_printed_after_the_terminal_is_gone_raises_nothing(tmp_path):
    master, terminal = pty.openpty()
    code = [sys.executable, "-c", f"import os; os.setsid(); import fcntl, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0)\n{LOST}"]
    process = subprocess.Popen([*code, tmp_path / "end"], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    assert os.read(master, 5) == b"ready"
    os.close(master)  # the connection is lost
    assert process.wait(30) == 129
    assert (tmp_path / "end").read_text() == "SIGHUP"


ORPHAN = """
import multiprocessing, os, sys, time
from fer_lightning.process.orphans import end_with_parent
from fer_lightning.process.signals import Interrupted, listening

def work(kind, path):
    end_with_parent(grace=30)
    end_with_parent(grace=30)
    print(os.getpid(), flush=True)
    if kind == "idle":
        time.sleep(100)
    try:
        with listening():
            time.sleep(100)
    except Interrupted as stop:
        open(path, "w").write(str(stop))
        time.sleep(100)  # idle again

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work, args=sys.argv[1:]).start()
    time.sleep(100)
"""


@pytest.mark.parametrize("kind", ["idle", "busy"])
def test_an_orphan_ends_its_job_and_then_itself(tmp_path, kind):
    (tmp_path / "orphan.py").write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, tmp_path / "orphan.py", kind, tmp_path / "end"], stdout=subprocess.PIPE, text=True)
    orphan = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while lives(orphan) and time.monotonic() < until:
        time.sleep(0.1)
    assert not lives(orphan)
    assert (tmp_path / "end").exists() == (kind == "busy")


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
