"""One thread against all of them, on the machine as it is and beside work of its own making; and which of them threads=auto takes.

    python benchmarks/busy.py [--threads 2] [--load 2] [--steps 1] [--rounds 3] [overrides]

A step is forward, loss, backward and the optimizer's step on a prepared batch. Printed is the median rate of each number of threads,
measured in turn, the ratio all / one, and the load average of the machine. The load is so many processes that only spin, ended afterwards.
"""

import argparse
import os
import statistics
import subprocess
import sys
from contextlib import contextmanager

import torch
from drawn import machine, training

from fer_lightning.model.precision import pick_precision
from fer_lightning.training.threads import module_rates, own_threads
from fer_lightning.training.timing import timed_steps
from fer_lightning.transforms.prepare import prepare


@contextmanager
def load(processes):
    """So many processes that keep a core busy each."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(title, step, numbers, rounds, automatic):
    """Print what `step`, which returns its rate, does with each number of threads."""
    rates = {number: [] for number in numbers}
    with own_threads():
        for number in numbers * rounds:
            torch.set_num_threads(number)
            rates[number].append(step())
    one, every = (statistics.median(rates[number]) for number in numbers)
    tried = automatic()
    taken = max(numbers, key=tried.get)
    print(f"{title}, load average {os.getloadavg()[0]:.1f}: one thread {one:.1f} images/s, {numbers[1]} threads {every:.1f},", end=" ")
    print(f"ratio {every / one:.2f}; threads=auto takes {taken}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, help="all of them")
    parser.add_argument("--load", type=int, default=cores, help="processes that keep a core busy")
    parser.add_argument("--steps", type=int, default=1, help="timed at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="config overrides, such as backbone=resnet18")
    arguments = parser.parse_args()
    cfg, data, module = training(1, 512, 7, ["pretrained=false", *arguments.overrides])
    low = pick_precision(cfg.precision, module.backbone, [module.phase]) == "bf16-mixed"
    optimizer = module.phase.optimizer(module.parameters())
    batch = cfg.batch_size
    inputs = prepare(data.pixels[:batch], module.backbone.input_spec, module.channels_last)

    def step():
        times = timed_steps(module, optimizer, inputs, data.labels[:batch], steps=arguments.steps, low_precision=low)
        return batch * len(times) / sum(times)

    numbers = (1, arguments.threads)
    print(machine())
    step()
    measure("as it is", step, numbers, arguments.rounds, lambda: module_rates(module, data, numbers, low))
    with load(arguments.load):
        step()
        measure(f"beside {arguments.load} more", step, numbers, arguments.rounds, lambda: module_rates(module, data, numbers, low))


if __name__ == "__main__":
    main()
