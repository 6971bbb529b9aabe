"""A finished run as files for other programs, and a table of what each form weighs, takes and scores."""

import json
import time
from functools import partial

import numpy as np

from fer_lightning.config.targets import build
from fer_lightning.data.faces import classes_of, size_of
from fer_lightning.data.twins import clean_test
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file, replacing_together
from fer_lightning.runs.result import read_result
from fer_lightning.shipping.card import card, facts
from fer_lightning.shipping.onnx_file import check_onnx, quantise, write_onnx
from fer_lightning.shipping.onnx_session import ONNX, run_onnx, session
from fer_lightning.shipping.page import RUNTIME, check_page, read_runtime, write_page
from fer_lightning.shipping.weights_folder import NETWORK, WEIGHTS, write_weights
from fer_lightning.shipping.whole_network import WholeNetwork, run_torch
from fer_lightning.training.restore import restore_data, restore_module

INT8, CARD = "model.int8.onnx", "README.md"
FILES = (ONNX, INT8, WEIGHTS, NETWORK, CARD)
# Of the training part, evenly spaced: they set the ranges of int8. Of noise and faces, so many are compared with torch.
CALIBRATION, CHECKED = 512, 256
REPEATS = 20


def export(run, folder, *, int8=True, page=None, runtime=None):
    """Write ONNX, int8, safetensors and a card. Returns the rows of the card's table, dicts.

    int8: needs the data of the run, to calibrate
    page: also a file to write as an HTML page; runtime: the onnxruntime-web in it, None for the one in this folder
    UserError without these data, without a finished run, and if the folder holds anything that is not an export.
    """
    _check_ours(folder)
    if page:
        check_page(page)
        runtime = read_runtime(runtime or RUNTIME)
    cfg, module = restore_module(run)
    try:
        faces, data = restore_data(run, cfg)
    except UserError as error:
        if int8:
            raise UserError(f"{error} Without the data, export with --no-int8.") from error
        faces = None
    network = WholeNetwork(module.backbone, module.head, build(cfg.evaluation, "evaluation"))
    result = read_result(run)
    classes, size = classes_of(result), size_of(result)
    about = {"classes": json.dumps(classes), "made_by": f"fer_lightning {result['environment'].get('fer_lightning')}"}
    about["job"] = result["job"]["id"]
    noise = np.random.default_rng(0).integers(0, 256, (CHECKED, 1, size, size), dtype=np.uint8)
    test = None if faces is None or not len(data.split.test) else _test_part(faces, data.split)
    row = partial(_row, test=test, size=size)
    with replacing_together(folder, FILES) as part:
        write_onnx(network, part / ONNX, about, size)
        difference = check_onnx(part / ONNX, network, noise if faces is None else faces.pixels[data.split.train[:CHECKED]])
        write_weights(network, cfg, {"classes": list(classes), "size": size}, part)
        rows = [row("torch", part / WEIGHTS, partial(run_torch, network)), row("ONNX", part / ONNX, _onnx(part / ONNX))]
        if int8:
            spaced = np.linspace(0, len(data.split.train) - 1, min(CALIBRATION, len(data.split.train))).astype(int)
            quantise(part / ONNX, part / INT8, faces.pixels[data.split.train[spaced]])
            rows.append(row("ONNX, int8", part / INT8, _onnx(part / INT8)))
        if page:
            write_page(page, part / ONNX, runtime=runtime, facts=facts(result, cfg), classes=classes, size=size)
        replace_file(part / CARD, card(result, cfg, rows, difference))
    return rows


def _check_ours(folder):
    """UserError if a folder holds what an export does not write."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder for the export.")
    others = sorted({path.name for path in folder.glob("*")} - set(FILES))
    if others:
        raise UserError(f"{folder} holds other files ({', '.join(others[:3])}): name a new folder for the export.")


def _onnx(path):
    return partial(run_onnx, session(path))


def _test_part(faces, split):
    """(faces, labels, which have no identical twin in train or val) of the test part."""
    return np.asarray(faces.pixels[split.test]), faces.labels[split.test], clean_test(faces.pixels, split)


def _row(form, path, probabilities, *, test, size):
    """A row of the table: size on disk, milliseconds at batch 1 and 64, accuracy on all and clean test images, in percent."""
    row = {"form": form, "file": path.name, "MB": f"{path.stat().st_size / 1e6:.2f}", "ms, batch 1": _milliseconds(probabilities, 1, size)}
    row["ms, batch 64"] = _milliseconds(probabilities, 64, size)
    if test:
        pixels, labels, clean = test
        hits = probabilities(pixels).argmax(1) == labels
        row |= {"test %": f"{100 * hits.mean():.2f}", "test clean %": f"{100 * hits[clean].mean():.2f}"}
    return row


def _milliseconds(probabilities, batch, size):
    faces = np.zeros((batch, 1, size, size), np.uint8)
    times = []
    for _ in range(2 + REPEATS):
        start = time.perf_counter()
        probabilities(faces)
        times.append(time.perf_counter() - start)
    return f"{1000 * np.median(times[2:]):.2f}"
