"""Our networks about faces that are cut out, for benchmarks/against_peers.py: what `predict` reads and answers, without its table.

    python ours.py PICTURES OUT [NETWORK]

NETWORK is what `predict` takes for one; without it the packaged weights answer. OUT is JSON: classes, probabilities in the order of the
names, the seconds from the first picture to the last answer, and the bytes of the weights.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from fer_lightning.photos.answers import answer
from fer_lightning.photos.sources import find_files
from fer_lightning.shipping.networks import PACKAGED, load
from fer_lightning.shipping.onnx_session import ONNX

WEIGHTS = "model.safetensors"  # as weights_folder.py names it, which imports torch


def main(pictures, out, *networks):
    network = load(networks)
    files, _ = find_files([pictures])
    start, used = time.perf_counter(), time.process_time()
    probabilities = [seen.faces[0].probabilities.tolist() for seen in answer(network, files)]
    times = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}
    by_onnx = network.name.endswith("ONNX Runtime")
    weights = Path(*networks) if networks else PACKAGED / (ONNX if by_onnx else WEIGHTS)
    about = network.name.rpartition("/")[2] + (f" {version('onnxruntime')}" if by_onnx else "")
    said = {"classes": network.classes, "probabilities": probabilities, "about": about, "bytes": weights.stat().st_size}
    Path(out).write_text(json.dumps(said | times))


if __name__ == "__main__":
    main(*sys.argv[1:])
