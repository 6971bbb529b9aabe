"""An exported network in ONNX Runtime. This file imports no torch: an answer is there two seconds before torch would be imported."""

import os

import numpy as np

ONNX = "model.onnx"
INPUT, OUTPUT = "faces", "probabilities"


def session(path, threads=None):
    """An ONNX Runtime session on the CPU. threads: None for as many as OMP_NUM_THREADS says, else as many as this process may use."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _threads():
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(asked)) if asked.isdecimal() and int(asked) else allowed


def run_onnx(running, faces, batch=64):
    """The probabilities (N, classes) of faces (N, 1, S, S) uint8."""
    parts = np.split(faces, range(batch, len(faces), batch))
    return np.concatenate([running.run([OUTPUT], {INPUT: part})[0] for part in parts])


def faces_of(running):
    """(size of its faces in pixels, number of its classes) of a network as `export` writes it; None of a session of any other."""
    inputs, outputs = running.get_inputs(), running.get_outputs()
    if [(entry.name, entry.type) for entry in inputs] != [(INPUT, "tensor(uint8)")] or [entry.name for entry in outputs] != [OUTPUT]:
        return None
    match inputs[0].shape, outputs[0].shape:
        case [_, 1, int(height), int(width)], [_, int(classes)] if height == width:
            return height, classes
