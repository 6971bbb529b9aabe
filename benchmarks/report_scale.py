"""How long the report of a large study takes, and how large its page is. `python benchmarks/report_scale.py [--runs 1000] [--browser]`

Writes run folders as training leaves them, without checkpoints: 40 cells of three axes, 50 epochs, the predictions of 7,178 pictures
(0.4 GB in all, in a temporary folder). --browser also opens the page in Chromium (needs playwright) and says when all of it is drawn.
"""

import argparse
import itertools
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from fer_lightning.analysis.report import report
from fer_lightning.data.faces import CLASSES
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.runs.result import write_result

AXES = {"head.act": ("relu", "gelu", "swish", "mish"), "head.norm": ("none", "bn"), "optimizer.lr": (0.01, 0.03, 0.1, 0.2, 0.3)}
EPOCHS = 50
SCORES = ("loss", "accuracy", "macro_f1", "weighted_f1", "top2", "ece", "brier")
CONFIG = Path(__file__).parent.parent / "conf" / "config.yaml"
PARTS = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}


def write_study(folder, runs):
    """`runs` finished jobs, the cells in turn."""
    cells = list(itertools.product(*AXES.values()))
    labels = np.concatenate([np.repeat(np.arange(7), list(OFFICIAL_COUNTS[PARTS[part]].values())) for part in ("val", "test")])
    split = np.repeat(["val", "test"], 3589)
    for number in range(runs):
        seed, place = divmod(number, len(cells))
        write_run(folder, dict(zip(AXES, cells[place])), seed, labels, split, np.random.default_rng(number))


def write_run(folder, cell, seed, labels, split, rng):
    """A run that learns: its logits are the label's and noise."""
    path = folder / f"{'-'.join(map(str, cell.values()))}-s{seed}"
    (path / ".hydra").mkdir(parents=True)
    config = yaml.safe_load(CONFIG.read_text()) | {"cell": cell}
    (path / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    logits = rng.normal(0, 1, (len(labels), 7)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    predictions = pd.DataFrame(probabilities, columns=[f"p{c}" for c in range(7)])
    predictions.insert(0, "row", np.arange(28_709, 28_709 + len(labels)))
    predictions.insert(1, "split", split)
    predictions.insert(2, "label", labels)
    predictions.to_parquet(path / "predictions.parquet", index=False)
    names = ["epoch", "step", *(f"{part}/{name}" for part in ("val", "train") for name in SCORES), "lr"]
    learnt = 1 - np.exp(-np.arange(EPOCHS) / 8)
    curve = pd.DataFrame({name: 0.73 * learnt + rng.normal(0, 0.01, EPOCHS) for name in names}).assign(epoch=range(EPOCHS))
    curve.to_csv(path / "metrics.csv", index=False)
    test = split == "test"
    predicted = probabilities.argmax(1)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (labels[test], predicted[test]), 1)
    recall = confusion.diagonal() / confusion.sum(1)
    scores = {name: float(rng.random()) for name in SCORES} | {"accuracy": float((predicted == labels)[~test].mean())}
    tested = scores | {"accuracy": float((predicted == labels)[test].mean()), "accuracy_clean": 0.7, "n": 3589, "n_clean": 3275}
    tested |= {"confusion": confusion.tolist()}
    tested |= {"per_class": {c: dict.fromkeys(("recall", "precision", "f1"), float(r)) for c, r in zip(CLASSES, recall)}}
    counts = {part: OFFICIAL_COUNTS[name] for part, name in PARTS.items()}
    result = {
        "status": "done",
        "job": {"id": path.name, "study": "scale", "cell": cell, "seed": seed, "overrides": [f"{k}={v}" for k, v in cell.items()]},
        "protocol": "official",
        "data": {"source": "fer2013.csv", "verdict": "official", "fingerprint": {"Training": "0d87"}, "counts": counts},
        "model": {"parameters": 1_940_000, "trainable": 1_940_000, "flops": 128_003_072},
        "selected": {"epoch": EPOCHS - 1},
        "metrics": {"val": scores, "test": tested, "train": {"accuracy": 0.9}},
        "time": {"total_s": 600 + 60 * float(rng.random()), "images_per_s": 1000.0},
    }
    write_result(path, result)


def open_page(path):
    """Seconds until a headless Chromium has drawn all of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=300_000)
        seconds = time.perf_counter() - start
        browser.close()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--browser", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "scale")
        write_study(folder, arguments.runs)
        start, cpu = time.perf_counter(), time.process_time()
        report(folder)
        seconds, busy = time.perf_counter() - start, time.process_time() - cpu
        page = folder / "report.html"
        print(f"{arguments.runs} runs: {seconds:.1f} s ({busy:.1f} s of one core), {page.stat().st_size / 1e6:.1f} MB")
        if arguments.browser:
            print(f"drawn in {open_page(page):.1f} s")


if __name__ == "__main__":
    main()
