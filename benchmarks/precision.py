"""What channels_last, bf16 and torch.compile are worth: training steps of each combination in turn, against none of the three.

    python benchmarks/precision.py [--backbones compact resnet18 efficientnet_b0] [--batch 64] [--without bf16 compile]

A step is prepare, forward, loss, backward and the optimizer's step on pictures in memory. Each round takes so many steps of every
combination; its rate is divided by that of the plain one in the same round, and the median of the rounds is given. `compile s` is what
the first step takes longer than a later one, `pays after` how many pictures must be trained until that is earned back (never: it is not).
"""

import argparse
import math
import statistics
import time

import torch
from drawn import machine, training

from fer_lightning.model.compiling import compile_nets
from fer_lightning.training.quieten import quieten
from fer_lightning.transforms.prepare import prepare

BACKBONES = ("compact", "resnet18", "efficientnet_b0")
# channels_last, bf16, compile; the first is what the others are measured by.
COMBINATIONS = (
    (False, False, False), (True, False, False), (False, True, False), (True, True, False), (False, False, True), (True, True, True),
)  # fmt: skip
NAMES = ("channels_last", "bf16", "compile")


class Combination:
    """A module of its own and its steps."""

    def __init__(self, channels_last, bf16, compiles, batch, overrides):
        _, data, self.module = training(1, batch, 7, [f"channels_last={channels_last}", *overrides])
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module.to(self.device)
        self.bf16 = bf16
        if compiles:
            compile_nets(self.module)
        self.optimizer = torch.optim.SGD(self.module.parameters(), 0.01, momentum=0.9)
        self.pixels, self.labels = data.pixels[:batch].to(self.device), data.labels[:batch].to(self.device)
        first = self.seconds(1)
        self.compile_s = max(0.0, first - self.seconds(1))
        self.rates = []

    def seconds(self, steps):
        start = time.perf_counter()
        for _ in range(steps):
            inputs = prepare(self.pixels, self.module.backbone.input_spec, self.module.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                logits = self.module(inputs)
            self.optimizer.zero_grad()
            self.module.loss(logits.float(), self.labels).backward()
            self.optimizer.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    def measure(self, steps):
        self.rates.append(steps * len(self.pixels) / self.seconds(steps))


def compare(backbone, batch, steps, rounds, overrides, without):
    overrides = [f"backbone={backbone}", "pretrained=false", *overrides]
    wanted = [c for c in COMBINATIONS if not any(on and name in without for name, on in zip(NAMES, c))]
    runs = {combination: Combination(*combination, batch, overrides) for combination in wanted}
    for _ in range(rounds):
        for run in runs.values():
            run.measure(steps)
    plain = runs[COMBINATIONS[0]].rates
    print(f"\n{backbone}, batch {batch}: plain {statistics.median(plain):.0f} images/s")
    print("channels_last  bf16   compile   ratio   compile s   pays after")
    for (channels_last, bf16, compiles), run in runs.items():
        ratio = statistics.median(ours / base for ours, base in zip(run.rates, plain))
        line = f"{channels_last!s:13}  {bf16!s:5}  {compiles!s:7}  {ratio:6.2f}"
        if compiles:
            eager = statistics.median(runs[channels_last, bf16, False].rates)
            saved = 1 / eager - 1 / statistics.median(run.rates)
            pays = f"{math.ceil(run.compile_s / saved):,} images" if saved > 0 else "never"
            line += f"  {run.compile_s:9.1f}   {pays}"
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="+", default=[], choices=NAMES, help="combinations with these are left out")
    parser.add_argument("--overrides", nargs="*", default=["input_size=48"], help="of the config, such as input_size=96")
    arguments = parser.parse_args()
    quieten()
    print(machine())
    for backbone in arguments.backbones:
        compare(backbone, arguments.batch, arguments.steps, arguments.rounds, arguments.overrides, arguments.without)


if __name__ == "__main__":
    main()
