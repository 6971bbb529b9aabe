"""Our `predict` beside two other packages, on the 3,589 faces of PrivateTest, cut out, one thread of a CPU: docs/comparison.md.

    python benchmarks/against_peers.py [--fer PYTHON] [--human FOLDER] [--data FOLDER | --drawn N] [--rounds 5] [--core 0]

PYTHON is of a virtual environment after `pip install fer`; FOLDER is where this was typed, Node being installed:

    npm install @vladmandic/human pngjs @tensorflow/tfjs-core@4.22 @tensorflow/tfjs-converter@4.22 @tensorflow/tfjs-backend-wasm@4.22

What is not given is left out. Ours: the packaged weights as `predict FOLDER` answers, an export of one view in place of their ten
crops, and that in int8, calibrated on training images. The faces are written to a temporary folder as PNG files, and deleted.

first answer   a new process about one picture, its files in the page cache
images/s       from the first picture to the last answer, without the start of the process
whole command  from its start to its end: for us `predict` with its table and a CSV, for the others a script (benchmarks/peers)

Each is the median of the rounds; a round asks every tool in turn. Where other work takes the same core, only the seconds of CPU mean
something.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from drawn import machine
from PIL import Image

import fer_lightning
from fer_lightning.data.faces import CLASSES, SPLITS
from fer_lightning.data.fer2013 import read
from fer_lightning.data.synthetic import draw
from fer_lightning.model.metrics import accuracy, confusion, per_class
from fer_lightning.process.errors import UserError
from fer_lightning.shipping.networks import PACKAGED
from fer_lightning.shipping.weights_folder import read_network

DRIVERS = Path(__file__).parent / "peers"
TFJS = ("@tensorflow/tfjs-core", "@tensorflow/tfjs-converter", "@tensorflow/tfjs-backend-wasm")
CALIBRATION = 512  # as `export` takes
# One thread each, and no GPU. Bytecode is kept, as an installation has it.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1") | {"CUDA_VISIBLE_DEVICES": ""}


@dataclass
class Tool:
    """name:    what the table calls it
    driver:  the command that answers pictures, before their folder and the file for its JSON
    network: what `predict` is given, of ours; None of others, whose driver is also the command
    seen:    {what: its values, one a round}
    logits:  of all faces, (N, 7), in the order of CLASSES; about: what it says of itself; megabytes: of its weights
    """

    name: str
    driver: list
    network: list | None = None
    seen: dict = field(default_factory=dict)
    logits: torch.Tensor | None = None
    about: str = ""
    megabytes: float = 0

    def command(self, pictures, out):
        """What a user types: of ours `predict`, which writes out.csv."""
        if self.network is None:
            return self.driven(pictures, out)
        return [sys.executable, "-m", "fer_lightning.predict", *self.network, pictures, "--csv", f"{out}.csv"]

    def driven(self, pictures, out):
        """The script that has the clock inside and writes out.json."""
        return [*self.driver, pictures, f"{out}.json", *(self.network or [])]

    def note(self, **figures):
        for what, value in figures.items():
            self.seen.setdefault(what, []).append(value)

    def median(self, what):
        return statistics.median(self.seen[what])


def environment(tool):
    """What a process of a tool finds: the code that runs here for ours, nothing of ours for others."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    own = {} if tool.network is None else {"PYTHONPATH": str(Path(fer_lightning.__file__).parent.parent)}
    return kept | ONE_THREAD | own


def run(tool, command, core):
    """(seconds, seconds of CPU) of a process. core: to keep it on, or None. Its output ends this program if it fails."""
    command = [*(["taskset", "-c", core] if core else []), *command]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(list(map(str, command)), env=environment(tool), capture_output=True, text=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{tool.name} failed:\n{done.stdout}{done.stderr}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(tool, folder, core):
    """One round of a tool. folder: holds one/ and all/, the pictures"""
    out = folder / ("theirs" if tool.network is None else "ours")
    seconds, cpu = run(tool, tool.command(folder / "one", out), core)
    tool.note(first=seconds, first_cpu=cpu)
    seconds, cpu = run(tool, tool.command(folder / "all", out), core)
    tool.note(command=seconds, command_cpu=cpu)
    if tool.network is not None:
        run(tool, tool.driven(folder / "all", out), core)
    said = json.loads(Path(f"{out}.json").read_text())
    tool.note(inside=said["seconds"], inside_cpu=said["cpu"])
    tool.logits = read_logits(Path(f"{out}.json" if tool.network is None else f"{out}.csv"))
    tool.about, tool.megabytes = said["about"], said["bytes"] / 1e6


def read_logits(path):
    """What a tool answered, (N, 7), in the order of CLASSES, whatever its own. path: JSON of a driver, or CSV of `predict`"""
    if path.suffix == ".csv":
        table = pd.read_csv(path).sort_values("picture")
    else:
        said = json.loads(path.read_text())
        table = pd.DataFrame(said["probabilities"], columns=said["classes"])
    return torch.tensor(table[list(CLASSES)].to_numpy()).log()


def write_pictures(pixels, folder):
    """one/ and all/ in the folder, grey PNG files. pixels: (N, 1, 48, 48) uint8"""
    for name, part in (("one", pixels[:1]), ("all", pixels)):
        (folder / name).mkdir()
        for row, face in enumerate(part):
            Image.fromarray(face[0]).save(folder / name / f"{row:05}.png")


def our_tools(folder, train, with_exports):
    """The packaged weights, and the exports of one view that are made here. train: images (N, 1, 48, 48) for the ranges of int8"""
    ours = [sys.executable, DRIVERS / "ours.py"]
    tools = [Tool("ours, packaged weights, ten crops", ours, [])]
    if not with_exports:
        return tools
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]:
        print(f"There is no {', '.join(missing)}: the exports are left out (pip install 'fer_lightning[export]').")
        return tools
    from fer_lightning.shipping.onnx_file import quantise, write_onnx

    one_view, int8 = folder / "one_view.onnx", folder / "one_view.int8.onnx"
    network, cfg = read_network(PACKAGED)
    network.views = network.views.single
    write_onnx(network, one_view, {"classes": json.dumps(list(cfg.data.classes))}, cfg.data.size)
    spaced = np.linspace(0, len(train) - 1, min(CALIBRATION, len(train))).astype(int)
    quantise(one_view, int8, train[spaced])
    return [*tools, Tool("ours, one view, an export", ours, [one_view]), Tool("ours, one view, an export in int8", ours, [int8])]


def peers(python, folder):
    """The two other packages, where they are given. UserError for a place that does not hold one."""
    tools = []
    if folder is None:
        print("@vladmandic/human is left out: name a folder with its node_modules by --human.")
    elif not shutil.which("node"):
        raise UserError("--human needs Node.js: there is no node on the PATH.")
    elif missing := [name for name in ("@vladmandic/human", "pngjs", *TFJS) if not (folder / "node_modules" / name).is_dir()]:
        raise UserError(f"--human {folder}: there is no node_modules/{missing[0]}. See --help for what to install.")
    else:
        tools.append(Tool("`@vladmandic/human`", ["node", DRIVERS / "human.mjs", folder]))
    if python is None:
        print("fer is left out: name the Python that it is installed in by --fer.")
    elif not shutil.which(python):
        raise UserError(f"--fer {python}: there is no such program. Name bin/python of an environment after `pip install fer`.")
    elif subprocess.run([python, "-c", "import fer"], capture_output=True).returncode:
        raise UserError(f"--fer {python}: it has no package fer. Type {python} -m pip install fer first.")
    else:
        tools.append(Tool("`fer`", [python, DRIVERS / "fer_package.py"]))
    return tools


def row(tool, labels):
    """{column: text} of the table. labels: (N,)"""
    classes = per_class(tool.logits, labels)
    with_cpu = "{:.2f} ({:.2f})".format
    faces, inside = len(labels), (tool.median("inside"), tool.median("inside_cpu"))
    return {
        "": tool.name,
        "accuracy %": f"{100 * accuracy(tool.logits, labels):.2f}",
        "macro F1 %": f"{100 * np.mean([scores['f1'] for scores in classes.values()]):.2f}",
        "disgust found %": f"{100 * classes['disgust']['recall']:.1f}",
        "fear found %": f"{100 * classes['fear']['recall']:.1f}",
        "first answer, s (of CPU)": with_cpu(tool.median("first"), tool.median("first_cpu")),
        "images/s (per s of CPU)": "{:,.0f} ({:,.0f})".format(*(faces / seconds for seconds in inside)),
        "whole command, s (of CPU)": with_cpu(tool.median("command"), tool.median("command_cpu")),
        "weights, MB": f"{tool.megabytes:.2f}",
    }


def show(tools, labels):
    """Print the table as Markdown, then what each tool says of itself and its confusion matrix: a row a true class."""
    rows = [row(tool, labels) for tool in tools]
    for line in (list(rows[0]), ["---"] * len(rows[0]), *(list(each.values()) for each in rows)):
        print(f"| {' | '.join(line)} |")
    for tool in tools:
        print(f"\n{tool.name}: {tool.about}")
        for name, counts in zip(CLASSES, confusion(tool.logits, labels)):
            print(f"{name:8}", *(f"{count:4}" for count in counts))


def show_leads(tools, labels):
    """Print how many points of accuracy each of ours has more than each other, with a 95 % interval over images."""
    ours, others = ([tool for tool in tools if (tool.network is None) is theirs] for theirs in (False, True))
    for left, right in product(ours, others):
        gains = [(tool.logits.argmax(1) == labels).double() for tool in (left, right)]
        points = 100 * (gains[0] - gains[1])
        reach = 1.96 * points.std() / len(labels) ** 0.5
        print(f"{left.name} less {right.name}: {points.mean():.2f} points ({points.mean() - reach:.2f} to {points.mean() + reach:.2f})")


def load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def compare(arguments):
    drawn, core = arguments.drawn, arguments.core
    if core and not shutil.which("taskset"):
        raise UserError("--core needs taskset, which Linux has: leave it out.")
    faces = draw(train=64, val=0, test=drawn) if drawn else read(arguments.data)
    train, test = (np.flatnonzero(faces.usage == SPLITS.index(part)) for part in ("Training", "PrivateTest"))
    others = peers(arguments.fer, arguments.human)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pictures(faces.pixels[test], folder)
        tools = [*others, *our_tools(folder, faces.pixels[train], not arguments.no_exports)]
        before = load()
        for tool in tools:  # brings its files into the page cache
            run(tool, tool.command(folder / "one", folder / "warm"), core)
        for _ in range(arguments.rounds):
            for tool in tools:
                measure(tool, folder, core)
    print(f"{machine()}; {f'core {core}' if core else 'any core'}; load average {before} before, {load()} after")
    print(f"{len(test):,} faces, {arguments.rounds} rounds\n")
    labels = torch.from_numpy(faces.labels[test])
    show(tools, labels)
    show_leads(tools, labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer", metavar="PYTHON")
    parser.add_argument("--human", metavar="FOLDER", type=Path)
    parser.add_argument("--data", metavar="FOLDER", default=os.environ.get("FER2013_ROOT") or "data", help="of FER-2013")
    parser.add_argument("--drawn", metavar="N", type=int, help="ask for so many drawn faces instead")
    parser.add_argument("--no-exports", action="store_true", help="of ours, only the packaged weights")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", metavar="N", help="of this machine, which every tool is kept on by taskset")
    arguments = parser.parse_args()
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the faces are deleted then too
    try:
        compare(arguments)
    except UserError as error:
        sys.exit(str(error))
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
