"""The command watched from inside its process, for benchmarks of what lies around training."""

import os
import subprocess
import sys
import tempfile
import time
from ast import literal_eval
from contextlib import contextmanager


def watch(*arguments):
    """Run `python -m fer_lightning ARGUMENTS` in a process of its own, offline, and say what was seen:

    start:    seconds from the start of the process to the end of its first training step
    jobs:     when each job started, in seconds
    trained:  seconds that Lightning's fit, validate and test took in each
    resident: MB at the end of each
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": ":".join(map(os.path.abspath, sys.path)), "WANDB_MODE": "offline"}
        command = [sys.executable, __file__, repr(time.time()), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return literal_eval(done.stdout.splitlines()[-1])


def observe(began, arguments):
    """Run the command in this process and print what `watch` returns."""
    from lightning import Trainer

    from fer_lightning.sweep import command
    from fer_lightning.training.module import FERModule

    seen = {"start": None, "jobs": [], "trained": [], "resident": []}

    @contextmanager
    def timed():
        start = time.perf_counter()
        yield
        seen["trained"][-1] += time.perf_counter() - start

    def watched(job):
        def run(cfg):
            seen["jobs"].append(time.perf_counter())
            seen["trained"].append(0.0)
            job(cfg)
            seen["resident"].append(resident())

        return run

    def first_step(step):
        def run(*args, **kwargs):
            step(*args, **kwargs)
            seen["start"] = seen["start"] or time.time() - began

        return run

    command.run_job = watched(command.run_job)
    FERModule.optimizer_step = first_step(FERModule.optimizer_step)
    for name in ("fit", "validate", "test"):
        setattr(Trainer, name, timed()(getattr(Trainer, name)))
    sys.argv[1:] = arguments
    command.main()
    print(seen)


def resident():
    """MB of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    observe(float(sys.argv[1]), sys.argv[2:])
