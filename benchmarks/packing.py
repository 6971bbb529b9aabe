"""What it brings to run small jobs side by side on one device: the same sweep in one process, and cut among several that run at once.

    python benchmarks/packing.py [--jobs 8] [--processes 1,2] [overrides]

Wall time from the first start to the last end, imports included; the speed-up is against one process. On a GPU the processes share it
(defaults 1 2 4 8); on the CPU they share its cores, one process with all of them against two with half each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import torch
from drawn import machine


def side_by_side(processes, jobs, overrides):
    """Seconds of so many jobs in so many processes."""
    environment = os.environ | {"PYTHONPATH": ":".join(map(os.path.abspath, sys.path)), "WANDB_MODE": "offline"}
    environment["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // processes))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        started = []
        for process in range(processes):
            seeds = "seed=" + ",".join(map(str, range(process, jobs, processes)))
            command = [sys.executable, "-m", "fer_lightning", "-m", seeds, *overrides, f"hydra.sweep.dir={process}"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            started.append(subprocess.Popen(command, cwd=folder, env=environment, **pipes))
        answers = [process.communicate()[0] for process in started]
        seconds = time.perf_counter() - start
    for process, answer in zip(started, answers):
        if process.returncode:
            sys.exit(answer)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cuda = torch.cuda.is_available()
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--processes", default="1,2,4,8" if cuda else "1,2", help="separated by commas")
    parser.add_argument("overrides", nargs="*", default=["data=synthetic", "epochs=2"], help="config overrides, such as data=fer2013")
    arguments = parser.parse_args()
    overrides = ["logger=csv", *arguments.overrides]
    print(machine())
    alone = side_by_side(1, arguments.jobs, overrides)
    for processes in map(int, arguments.processes.split(",")):
        seconds = alone if processes == 1 else side_by_side(processes, arguments.jobs, overrides)
        print(f"{arguments.jobs} jobs, {processes} at a time: {seconds:7.1f} s, speed-up {alone / seconds:.2f}", flush=True)
    if not cuda:
        print("on a GPU: not measured, no GPU at hand")


if __name__ == "__main__":
    main()
