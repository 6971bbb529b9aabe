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
import sys
from pathlib import Path

from drawn import machine
from observed import watch


def forget(folder):
    """Drop the files below a folder from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=6, help="of the sweep, three or more")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("overrides", nargs="*", default=["data=synthetic"], help="config overrides, such as data=fer2013")
    arguments = parser.parse_args()
    print(machine())
    seeds = "seed=" + ",".join(map(str, range(arguments.jobs)))
    for logger in ("csv", "[csv,wandb]"):
        overrides = ["trainer=smoke", f"logger={logger}", *arguments.overrides]
        if arguments.cold:
            forget(Path(sys.prefix))
            print(f"logger={logger:12} cold start {watch(*overrides)['start']:5.2f} s")
        starts = [watch(*overrides)["start"] for _ in range(arguments.rounds)]
        spread = f"{min(starts):.2f} to {max(starts):.2f}"
        print(f"logger={logger:12} start {statistics.median(starts):5.2f} s ({spread})", flush=True)
        seen = watch("-m", seeds, *overrides)
        whole = [after - before for before, after in zip(seen["jobs"][1:], seen["jobs"][2:])]
        beside = [seconds - trained for seconds, trained in zip(whole, seen["trained"][1:])]
        spread = f"{min(beside):.2f} to {max(beside):.2f}"
        print(f"logger={logger:12} a further job {statistics.median(whole):5.2f} s, beside fit and test", end=" ")
        print(f"{statistics.median(beside):5.2f} s ({spread})", flush=True)


if __name__ == "__main__":
    main()
