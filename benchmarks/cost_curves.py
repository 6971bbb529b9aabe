"""How time and memory grow with jobs, pictures and the size of pictures. `python benchmarks/cost_curves.py [--jobs 20] [options]`

jobs      smoke jobs of one sweep in one process: seconds since its first job began, MB resident as each ends
pictures  one epoch of a tiny net on FER-2013 ($FER2013_ROOT or data/; drawn faces where it is not), tiled so many times: it is the data
          path that is measured
size      training steps of one backbone on pictures enlarged to so many pixels a side

Pictures and sizes are measured in a process each, memory being that at its peak. The exponent is the slope of a straight line through
the logarithms (by least squares), of size against pixels: 1 is linear, below 1 better.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from drawn import machine, training
from lightning import Trainer
from observed import watch

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import Faces
from fer_lightning.data.protocols import Split
from fer_lightning.data.synthetic import draw
from fer_lightning.training.quieten import quieten
from fer_lightning.transforms.prepare import prepare

TINY = ["data=synthetic", "logger=csv", "backbone.widths=[4,4,8]", "head.hidden=null", "ema_decay=null"]
STEPS, BATCH = 4, 16


def job_curve(jobs):
    """[(jobs, seconds, MB)] as a sweep goes on."""
    seeds = "seed=" + ",".join(map(str, range(jobs + 1)))  # the one more says when the last one measured was over
    seen = watch("-m", seeds, *TINY, "trainer=smoke", "data.train=64", "data.val=32", "data.test=32", "batch_size=16")
    ended = [start - seen["jobs"][0] for start in seen["jobs"][1:]]
    return [(n, ended[n - 1], seen["resident"][n - 1]) for n in (1, 2, 5, 10, 20, 50, 100, 200) if n <= jobs]


def epoch_seconds(times):
    """Seconds of one epoch on all training pictures, `times` times over."""
    faces = training_faces()
    pixels, labels = np.tile(faces.pixels, (times, 1, 1, 1)), np.tile(faces.labels, times)
    _, _, module = training(1, 64, 7, TINY)
    tiled = Faces(pixels, labels, np.zeros_like(labels), "tiled", "unknown", {})
    data = FERDataModule(tiled, Split("tiled", np.arange(len(labels)), np.arange(0), np.arange(0)), batch_size=512)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(max_epochs=1, devices=1, **quiet)
    start = time.perf_counter()
    trainer.fit(module, data)
    return time.perf_counter() - start


def training_faces():
    """The training part of FER-2013, or as many drawn faces as take a second."""
    from fer_lightning.data.fer2013 import read

    root = Path(os.environ.get("FER2013_ROOT") or "data")
    if not root.exists():
        return draw(train=2871, val=0, test=0)
    faces = read(root, accept_modified=True)
    keep = faces.usage == 0
    return Faces(faces.pixels[keep], faces.labels[keep], faces.usage[keep], faces.source, faces.verdict, {})


def step_seconds(size, backbone):
    """Seconds of a training step on pictures of so many pixels a side, the first left out."""
    _, data, module = training(1, BATCH, 7, [f"backbone={backbone}", "pretrained=false", f"input_size={size}"])
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    for step in range(STEPS + 1):
        if step == 1:
            start = time.perf_counter()
        loss = module.loss(module(prepare(data.pixels[:BATCH], module.backbone.input_spec, True)), data.labels[:BATCH])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - start) / STEPS


def apart(function, *arguments):
    """(seconds that the function returns, MB at the peak) in a process of its own."""
    command = [sys.executable, __file__, "apart", function.__name__, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": ":".join(map(os.path.abspath, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return tuple(map(float, done.stdout.splitlines()[-1].split()))


def show(what, rows, power=1):
    """Print the rows (n, seconds, MB) and the exponents over n ** power."""
    for n, seconds, megabytes in rows:
        print(f"{what:10} {n:5}   {seconds:8.2f} s   {megabytes:7.0f} MB")
    if len(rows) > 1:
        n, seconds, megabytes = np.log(np.array(rows, float)).T
        time_exponent, memory_exponent = (np.polyfit(power * n, y, 1)[0] for y in (seconds, megabytes))
        print(f"{what:10} exponent of time {time_exponent:.2f}, of memory {memory_exponent:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20, help="1 to 200")
    parser.add_argument("--tiles", type=int, nargs="*", default=[1, 2, 5, 10])
    parser.add_argument("--sizes", type=int, nargs="*", default=[48, 96, 112, 224])
    parser.add_argument("--backbone", default="resnet18", help="whose steps are timed at these sizes")
    arguments = parser.parse_args()
    print(machine())
    show("jobs", job_curve(arguments.jobs))
    show("pictures x", [(times, *apart(epoch_seconds, times)) for times in arguments.tiles])
    show("size", [(size, *apart(step_seconds, size, arguments.backbone)) for size in arguments.sizes], power=2)


if __name__ == "__main__":
    if sys.argv[1:2] == ["apart"]:
        quieten()
        function, number, *rest = sys.argv[2:]
        print(globals()[function](int(number), *rest), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main()
