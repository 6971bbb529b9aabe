"""How fast is FER-2013 read, and in how much memory? `python benchmarks/read_csv.py FILE [--rounds 3]`, medians of fresh processes.

parse   every value of the CSV read and checked, the pictures written to a file
first   what the first run pays: hash of the file, parse, fingerprints and verdict, cache entry
cached  what every later run pays
pandas  what people write: read_csv, then np.array(text.split(), dtype=np.uint8) for each row; it checks no label and no Usage
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path


def parse(file, cache_dir):
    from fer_lightning.data.csv_reader import read_table

    start = time.perf_counter()
    with open(Path(cache_dir, "pixels"), "wb") as stream:
        for pixels, *_ in read_table(file):
            stream.write(pixels)
    return time.perf_counter() - start


def read(file, cache_dir):
    from fer_lightning.data.fer2013 import read

    start = time.perf_counter()
    read(file, cache_dir, accept_modified=True)
    return time.perf_counter() - start


def pandas(file, cache_dir):
    import numpy as np
    import pandas as pd

    start = time.perf_counter()
    np.stack([np.array(text.split(), dtype=np.uint8) for text in pd.read_csv(file)["pixels"]])
    return time.perf_counter() - start


def measure(what, file, cache_dir):
    """(seconds, MB at the peak) of one fresh process; importing is not timed, its memory counts."""
    command = [sys.executable, __file__, what, str(file), cache_dir]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="fer2013.csv or icml_face_data.csv")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    file = arguments.file
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pandas"))
    print(
        f"{file.name}, {file.stat().st_size:,} bytes; {os.cpu_count()} cores {platform.machine()}, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, {versions}"
    )
    figures = {"parse": [], "first": [], "cached": [], "pandas": []}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as cache_dir:
            for name, what in (("parse", "parse"), ("first", "read"), ("cached", "read"), ("pandas", "pandas")):
                figures[name].append(measure(what, file, cache_dir))
    seconds = {name: statistics.median(s for s, _ in runs) for name, runs in figures.items()}
    for name, runs in figures.items():
        memory = statistics.median(m for _, m in runs)
        spread, ratio = f"{min(runs)[0]:.3f} to {max(runs)[0]:.3f}", seconds["pandas"] / seconds[name]
        print(f"{name:7} {seconds[name]:7.3f} s ({spread}), {memory:4.0f} MB, {ratio:.1f} times as fast as pandas")


if __name__ == "__main__":
    if sys.argv[1] in ("parse", "read", "pandas") and len(sys.argv) == 4:
        elapsed = globals()[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
        print(elapsed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    else:
        main()
