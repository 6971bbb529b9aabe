"""Images that a study classifies wrongly, and sheets that show where its runs look."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fer_lightning.analysis.study_record import read_test_part
from fer_lightning.config.identity import target_name
from fer_lightning.data import fer2013, synthetic
from fer_lightning.data.image_folder import read_image_folder
from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import CONFIG, read_settings
from fer_lightning.runs.layout import EXPLAIN, SALIENCY
from fer_lightning.runs.predictions import mistakes, probabilities
from fer_lightning.safety.untrusted_files import check_file

# How many of each are shown.
PAIRS = 10
IMAGES = 6
SHEETS = 4


@dataclass(frozen=True)
class Pair:
    """A true class and the one it is taken for. count: of the images; images: the most confident mistakes, (PNG as a data URI, caption)"""

    true: str
    taken: str
    count: int
    images: list


@dataclass(frozen=True)
class Gallery:
    """title: of which runs; pairs: the most frequent first; why: a sentence if there are no images"""

    title: str = ""
    pairs: tuple = ()
    why: str = ""


def error_gallery(study):
    """The mistakes of the best cell, by the mean of its seeds' probabilities. Returns a Gallery."""
    for label in study.cells.index:
        tests = {name: read_test_part(study, name) for name in study.runs[label]["name"]}
        tests = {name: test for name, test in tests.items() if test is not None and len(test)}
        if not tests:
            continue
        name, first = next(iter(tests.items()))
        tests = [test for test in tests.values() if test.index.equals(first.index) and list(test) == list(first)]
        try:
            pixels = read_pixels(study.folder / name, study.results[name])
        except UserError as error:
            return Gallery(why=f"The images cannot be shown: {str(error).splitlines()[0]}")
        means = np.mean([probabilities(test) for test in tests], axis=0)
        rows, labels = first.index.to_numpy(), first["label"].to_numpy()
        if rows.max() >= len(pixels) or means.shape[1] != len(study.classes(label)):
            return Gallery(why="The images cannot be shown: the predictions are of other data.")
        seeds = f"{len(tests)} seeds together" if len(tests) > 1 else "one seed"
        return Gallery(f"{label}, {seeds}", tuple(_pairs(rows, labels, means, pixels=pixels, classes=study.classes(label))))
    return Gallery(why="No finished run has predictions of a test part.")


def _pairs(rows, labels, means, *, pixels, classes):
    """The most frequent mistakes. means (N, C): probabilities; pixels: of all data, by their rows; classes: their names"""
    for true, taken, which in mistakes(labels, means, PAIRS):
        images = [(_data_uri(pixels[rows[i], 0]), f"row {rows[i]}, {classes[taken]} {means[i, taken]:.2f}") for i in which[:IMAGES]]
        yield Pair(classes[true], classes[taken], len(which), images)


def read_pixels(folder, result):
    """(N, 1, S, S) uint8: the images that a run saw, read again from its source. UserError if they are not there.

    Only the sources of the project are read, by name: a config can name any code.
    """
    try:
        data = read_settings(folder)["data"]
        source = target_name(data["_target_"])
        if source == "fer_lightning:draw":
            faces = synthetic.draw(**{key: data[key] for key in ("train", "val", "test", "seed")})
        elif source == "fer_lightning:read":
            faces = fer2013.read(result["data"]["source"], accept_modified=True)
        elif source == "fer_lightning:read_image_folder":
            about = {key: data[key] for key in ("layout", "size", "labels")}
            faces = read_image_folder(result["data"]["source"], **about)
        else:
            raise UserError(f"its data came from {data['_target_']}, which a report does not run.")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / CONFIG} does not say where they are ({error!r}).") from error
    if faces.fingerprint != (result.get("data") or {}).get("fingerprint"):
        raise UserError(f"{faces.source} no longer holds what the run saw.")
    return faces.pixels


def saliency_sheets(study):
    """([(run, PNG as a data URI)] of the sheets of the best cells' runs, at most SHEETS, and how many there are in all).

    A sheet of `explain` also has the saliency, so it takes the place of that of `saliency`.
    """
    names = [name for label in study.cells.index for name in study.runs[label]["name"]]
    sheets = [[path for file in (EXPLAIN, SALIENCY) if _is_own(path := study.folder / name / file)] for name in names]
    paths = [found[0] for found in sheets if found]
    return [(path.parent.name, _uri(path.read_bytes())) for path in paths[:SHEETS]], len(paths)


def _is_own(path):
    try:
        check_file(path)
    except (OSError, ValueError):
        return False
    return True


def _data_uri(image):
    """An (H, W) uint8 image as a PNG in a data URI."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return _uri(file.getvalue())


def _uri(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
