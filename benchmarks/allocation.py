"""What keeping freed memory is worth (fer_lightning/process/memory.py): training steps in processes that do and that do not, in turn.

    python benchmarks/allocation.py [--batch 64] [--steps 3] [--rounds 3] [overrides]

A step is forward, loss, backward and the optimizer's step on prepared pictures. Printed is, for each backbone, the median over the rounds
of the ratio of the two rates, the pages that a step touched for the first time, and the most memory that the process held.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

from drawn import machine, training

BACKBONES = ("compact", "resnet18", "efficientnet_lite0")
OFF = {"MALLOC_MMAP_MAX_": "65536"}  # glibc's own value; naming it leaves malloc as it is


def measure(batch, steps, overrides):
    """In this process: {rate: pictures/s, pages: a step, mb}."""
    from fer_lightning.model.precision import pick_precision
    from fer_lightning.training.timing import timed_steps
    from fer_lightning.transforms.prepare import prepare

    cfg, data, module = training(1, batch, 7, overrides)
    low = pick_precision(cfg.precision, module.backbone, [module.phase]) == "bf16-mixed"
    optimizer = module.phase.optimizer(module.parameters())
    inputs = prepare(data.pixels[:batch], module.backbone.input_spec, module.channels_last)
    timed_steps(module, optimizer, inputs, data.labels[:batch], steps=1, low_precision=low)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    times = timed_steps(module, optimizer, inputs, data.labels[:batch], steps=steps, low_precision=low)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"rate": batch / statistics.median(times), "pages": (used.ru_minflt - before) // steps, "mb": used.ru_maxrss / 1024}


def compare(backbone, arguments):
    overrides = [f"backbone={backbone}", "pretrained=false", *arguments.overrides]
    command = [sys.executable, __file__, "--batch", str(arguments.batch), "--steps", str(arguments.steps), "--child", *overrides]
    rounds = []
    for _ in range(arguments.rounds):
        pair = []
        for environment in (os.environ | OFF, os.environ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
            pair.append(json.loads(done.stdout.splitlines()[-1]))
        rounds.append(pair)
    ratios = [kept["rate"] / given["rate"] for given, kept in rounds]
    given, kept = ({key: statistics.median(one[key] for one in side) for key in side[0]} for side in zip(*rounds))
    print(f"{backbone}, batch {arguments.batch}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}),", end=" ")
    print(f"{given['rate']:.1f} to {kept['rate']:.1f} images/s,", end=" ")
    print(f"{given['pages']:,.0f} to {kept['pages']:,.0f} pages a step, {given['mb']:,.0f} to {kept['mb']:,.0f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default=",".join(BACKBONES), help="separated by commas")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="config overrides, such as input_size=96")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.batch, arguments.steps, arguments.overrides)))
        return
    print(machine())
    for backbone in arguments.backbones.split(","):
        compare(backbone, arguments)


if __name__ == "__main__":
    main()
