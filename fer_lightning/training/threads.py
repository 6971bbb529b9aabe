"""How many threads a job computes with. Beside other work, all threads wait in every operation for the one whose core is taken.

So `threads=auto` times the network with one thread and with all of them before a job trains. The sums of floating-point numbers depend on
the number, so result.json records it and a job that continues keeps it; a number in place of `auto` gives the same bits on every machine.
"""

import logging
import time
from contextlib import contextmanager

import torch

from fer_lightning.process import ranks

# In seconds: what the timing takes beyond its first images, and the longest first image with which it goes on.
BUDGET = 0.3
LONG = 0.3

log = logging.getLogger(__name__)


@contextmanager
def own_threads():
    """What happens in here may set the number of threads; afterwards it is as before."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def set_threads(attempt, module, data):
    """Compute with as many threads as the config says, and return their number. Nothing else of the module changes."""
    have = torch.get_num_threads()
    number = attempt.cfg.threads if attempt.cfg.threads != "auto" else _automatic(attempt, module, data, have)
    torch.set_num_threads(number)
    return number


def _automatic(attempt, module, data, have):
    earlier = attempt.previous and attempt.previous.get("environment", {}).get("threads")
    if earlier:
        return min(earlier, have)
    on_gpu = torch.accelerator.is_available() and attempt.cfg.trainer.accelerator != "cpu"
    if have == 1 or on_gpu or ranks.count() > 1:
        return have
    rates = module_rates(module, data, (1, have), attempt.precision == "bf16-mixed")
    if rates[have] >= rates[1]:
        return have
    log.info("threads=auto takes one thread: %d of them are %.1f times slower just now", have, rates[1] / rates[have])
    return 1


def module_rates(module, data, numbers, low_precision):
    """{number of threads: images per second, forward}. Neither the module nor the random numbers change."""
    rows = torch.from_numpy(data.split.train[: data.batch_size])
    was = module.training
    module.eval()
    try:
        # Not inference_mode: a tensor that the network keeps would be of no use in training.
        with torch.no_grad(), torch.random.fork_rng(devices=[]), torch.autocast("cpu", torch.bfloat16, enabled=low_precision):
            return measured_rates(lambda n: module.logits(data.pixels[rows[:n]]), len(rows), numbers)
    finally:
        module.train(was)


def measured_rates(work, most, numbers):
    """{number of threads: pieces of work per second}, measured in turn for BUDGET seconds. work(n) does n pieces, up to `most`.

    If one piece takes LONG, products of matrices are measured instead: most of the time of a large network goes into them.
    """

    def seconds(number, pieces):
        torch.set_num_threads(number)
        start = time.perf_counter()
        work(pieces)
        return time.perf_counter() - start

    with own_threads():
        if seconds(1, 1) > LONG:
            return measured_rates(_products, 64, numbers)
        pieces = min(8, most)
        pieces = max(1, min(most, int(pieces * BUDGET / 4 / seconds(1, pieces))))
        taken, rounds, start = dict.fromkeys(numbers, 0.0), 0, time.perf_counter()
        while not rounds or time.perf_counter() - start < BUDGET:
            for number in numbers:
                taken[number] += seconds(number, pieces)
            rounds += 1
    return {number: rounds * pieces / spent for number, spent in taken.items()}


def _products(n):
    matrix = torch.ones(256, 256)
    for _ in range(n):
        matrix @ matrix
