"""The package `fer` about faces that are cut out, for benchmarks/against_peers.py. It runs in the Python that `fer` is installed in.

    PYTHON fer_package.py PICTURES OUT

Each picture is one face as a whole: no detector is asked, and nothing is added around it. Its TFLite network answers, as `fer` has it by
default. OUT is JSON: classes, probabilities in the order of the names, the seconds from the first picture to the last answer, and the bytes
of the weights.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import cv2
import fer.fer

CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def main(pictures, out):
    network = fer.fer.FER(offsets=(0, 0))
    paths = sorted(Path(pictures).iterdir())
    start, used = time.perf_counter(), time.process_time()
    probabilities = []
    for path in paths:
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        (face,) = network.detect_emotions(image, face_rectangles=[(0, 0, width, height)])
        probabilities.append([face["emotions"][name] for name in CLASSES])
    times = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}
    weights = Path(fer.__file__).parent / "data" / "emotion_model_quantized.tflite"
    about = f"fer {version('fer')}, tensorflow {version('tensorflow')}"
    said = {"classes": CLASSES, "probabilities": probabilities, "about": about, "bytes": weights.stat().st_size}
    Path(out).write_text(json.dumps(said | times))


if __name__ == "__main__":
    main(*sys.argv[1:])
