"""How long from the command to the first training step, and what each further job of a sweep costs beside its training and testing.

    python benchmarks/startup.py [--rounds 3] [--jobs 6] [--cold] [overrides]

start   from the start of the process to the end of the first training step, the median of the rounds; each is a process of its own
job     of a sweep in one process: from the start of a job to that of the next one, less what Lightning's fit, validate and test take;
        the median of all jobs but the first, which pays for what is loaded once, and the last

Each is measured with logger=csv and with logger=[csv,wandb], offline: the difference is W&B's share. --cold first drops the files of this
Python environment from the page cache, as after a boot; files that another process has open stay in it, so it wants a quiet machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

LOGGERS = ("csv", "[csv,wandb]")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=6, help="of the sweep, three or more")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("overrides", nargs="*", default=["data=synthetic"], help="config overrides, such as data=fer2013")
    arguments = parser.parse_args()
    from drawn import machine

    print(machine())
    job = ["trainer=smoke", *arguments.overrides]
    seeds = "seed=" + ",".join(map(str, range(arguments.jobs)))
    for logger in LOGGERS:
        if arguments.cold:
            forget(Path(sys.prefix))
            print(f"logger={logger:12} cold start {watch(job, logger)['start']:5.2f} s")
        starts = [watch(job, logger)["start"] for _ in range(arguments.rounds)]
        spread = f"{min(starts):.2f} to {max(starts):.2f}"
        print(f"logger={logger:12} start {statistics.median(starts):5.2f} s ({spread})", flush=True)
        seen = watch(["-m", seeds, *job], logger)
        whole = [after - before for before, after in zip(seen["jobs"][1:], seen["jobs"][2:])]
        beside = [seconds - trained for seconds, trained in zip(whole, seen["trained"][1:])]
        print(
            f"logger={logger:12} a further job {statistics.median(whole):5.2f} s, "
            f"of which beside fit and test {statistics.median(beside):5.2f} s ({min(beside):.2f} to {max(beside):.2f})",
            flush=True,
        )


def watch(overrides, logger):
    """What `observe` saw in a process of its own: {start: seconds, jobs: when each started, trained: seconds in Lightning of each}."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": ":".join(map(os.path.abspath, sys.path)), "WANDB_MODE": "offline"}
        command = [sys.executable, __file__, "--observe", repr(time.time()), *overrides, f"logger={logger}"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return eval(done.stdout.splitlines()[-1])


def observe(began, overrides):
    """Run the command in this process and print what `watch` returns."""
    from lightning import Trainer

    from fer_lightning import cli
    from fer_lightning.module import FERModule

    seen = {"start": None, "jobs": [], "trained": []}

    @contextmanager
    def timed():
        start = time.perf_counter()
        yield
        seen["trained"][-1] += time.perf_counter() - start

    def counting(job):
        def run(cfg):
            seen["jobs"].append(time.perf_counter())
            seen["trained"].append(0.0)
            job(cfg)

        return run

    def first_step(trainer_step):
        def step(*args, **kwargs):
            trainer_step(*args, **kwargs)
            seen["start"] = seen["start"] or time.time() - began

        return step

    cli.job = counting(cli.job)
    FERModule.optimizer_step = first_step(FERModule.optimizer_step)
    for name in ("fit", "validate", "test"):
        setattr(Trainer, name, timed()(getattr(Trainer, name)))
    sys.argv[1:] = overrides
    cli.main()
    print(seen)


def forget(folder):
    """Drop the files below a folder from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--observe"]:
        observe(float(sys.argv[2]), sys.argv[3:])
    else:
        main()
