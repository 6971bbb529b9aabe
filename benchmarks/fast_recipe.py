"""What accuracy recipe=fast has after how many minutes, on the machine at hand, CPU or GPU, from the command to the result.

    python benchmarks/fast_recipe.py [--recipes fast] [--seeds 3] [epochs=75] [evaluation=flip]

Runs the real command for each recipe and seed, one after the other, on the FER-2013 of FER2013_ROOT or data/. Prints the accuracies on
PrivateTest (single view and several, all and clean pictures) and on PublicTest, which selects; their mean and range over the seeds; what
two of the nets say together, from several views, for each pair of seeds; and the validation accuracy of the first seed against time. Until
the rate falls, and while train_sizes differ from the size that is validated, that curve is below what a shorter run would reach: the
schedule is made for its end.
"""

import argparse
import itertools
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from drawn import machine
from hydra.utils import instantiate

from fer_lightning.model.metrics import accuracy
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.training.build import build_trainer
from fer_lightning.training.evaluate import logits_of_parts
from fer_lightning.training.quieten import quieten
from fer_lightning.training.restore import restore

EPOCH = re.compile(r"epoch (\d+)/\d+ ")


def run(folder, overrides):
    """One run by the command. Returns (minutes from command to result, [minutes at the end of each epoch])."""
    command = [sys.executable, "-m", "fer_lightning", *overrides, f"hydra.run.dir={folder}"]
    start = time.perf_counter()
    epochs, lines = [], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            if EPOCH.search(line):
                epochs.append((time.perf_counter() - start) / 60)
    if process.returncode:
        sys.exit("".join(lines))
    return (time.perf_counter() - start) / 60, epochs


def scores(result):
    """Accuracies in percent, {part and name: value}."""
    parts = {part: result["metrics"][part] for part in ("val", "test")}
    return {f"{part} {key}": 100 * value for part, found in parts.items() for key, value in found.items() if key.startswith("accuracy")}


def pairs(folders):
    """Accuracies in percent of the mean probabilities of each two runs, from all views that the runs were tested with: {part: [...]}."""
    said = []
    for folder in folders:
        cfg = read_config(folder)  # whole: restoring needs less of it
        _, _, data, module = restore(folder)
        precision = read_result(folder)["environment"]["precision"]
        said.append(logits_of_parts(build_trainer(cfg, precision), module, data, instantiate(cfg.evaluation)))
    labels = {part: found[1] for part, found in said[0].items()}
    chances = [{part: found[0].softmax(1) for part, found in one.items()} for one in said]
    return {
        part: [100 * accuracy(one[part] + other[part], labels[part]) for one, other in itertools.combinations(chances, 2)]
        for part in labels
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="fast", help="separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("overrides", nargs="*", help="config overrides, such as epochs=75")
    arguments = parser.parse_args()
    quieten()
    print(machine())
    for recipe in arguments.recipes.split(","):
        table = []
        with tempfile.TemporaryDirectory() as scratch:
            folders = [Path(scratch) / str(seed) for seed in range(arguments.seeds)]
            for seed, folder in enumerate(folders):
                minutes, ends = run(folder, [f"recipe={recipe}", f"seed={seed}", "logger=csv", *arguments.overrides])
                result, rows = read_result(folder), read_metrics(folder)
                table.append({"minutes": minutes, **scores(result), "images/s": result["time"]["images_per_s"]})
                if seed == 0:
                    curve = [(end, 100 * row["val/accuracy"]) for end, row in zip(ends, rows, strict=True)]
                print(f"recipe={recipe} seed={seed}: " + "  ".join(f"{name} {value:.2f}" for name, value in table[-1].items()), flush=True)
            together = pairs(folders) if len(folders) > 1 else {}
        print(f"\nrecipe={recipe}, {len(table)} seeds, {' '.join(arguments.overrides) or 'as it is'}")
        for name in table[0]:
            values = [row[name] for row in table]
            print(f"  {name:32} mean {statistics.mean(values):8.2f}   {min(values):.2f} to {max(values):.2f}")
        for part, values in together.items():
            print(f"  {part + ', two nets together':32} mean {statistics.mean(values):8.2f}   {min(values):.2f} to {max(values):.2f}")
        print("  validation accuracy at minute: " + "  ".join(f"{minute:.1f}: {accuracy:.1f}" for minute, accuracy in curve) + "\n")


if __name__ == "__main__":
    main()
