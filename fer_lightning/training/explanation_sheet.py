"""explain.png of a run folder: why the run is right and wrong, on test images; and the same maps on a user's own pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fer_lightning.data.faces import classes_of, size_of
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, make_folder, replacing
from fer_lightning.runs.finished_run import read_run
from fer_lightning.runs.layout import EXPLAIN, EXPLAIN_PICTURES
from fer_lightning.runs.predictions import mistakes, predicted
from fer_lightning.training.explanations import explanations
from fer_lightning.training.restore import restore, restore_module

# Of a block; pictures beyond them go into the next one.
COLUMNS = 7
# Of the images of a class that are right, evenly spaced: their maps are averaged.
AVERAGED = 100
BATCH = 32
OVERLAY = 0.5


@dataclass
class Block:
    """Columns of a sheet below one title. titles: one a column; rows: {name: (images (N, S, S) uint8, maps (N, S, S) or None)}"""

    title: str
    titles: list
    rows: dict


def draw_test_images(folder, out=None):
    """Write explain.png, by default into the folder of a finished run. Returns its path and sentences on what the sheet cannot show.

    UserError without a finished run, its data or a test part.
    """
    run = read_run(folder)
    test = run.part("test")
    if not len(test):
        raise UserError(f"{folder}: its protocol ({run.result['protocol']}) has no test part to take images from.")
    path = _target(folder, out, EXPLAIN)
    _, faces, _, module = restore(folder)
    names, pixels, labels, values = faces.classes, faces.pixels, test["label"].to_numpy(), test[run.probabilities].to_numpy()
    rows, right = test.index.to_numpy(), predicted(values) == labels
    if rows.max() >= len(pixels) or len(run.probabilities) != len(names):
        raise UserError(f"{folder}: its predictions are not of the images that it was made with. Run the job again.")
    if not right.any():
        raise UserError(f"{folder} gets no test image right, so there is nothing to explain: train it longer.")
    clean = test["clean"].fillna(True).to_numpy(bool) if "clean" in test else np.ones(len(test), bool)
    methods = explanations(module, _images(pixels, rows[:1]))
    blocks = [
        _surest(pixels, rows, labels, sure=np.where(right, values.max(1), 0), clean=clean, methods=methods, names=names),
        _means(pixels, rows, np.where(right, labels, -1), methods=methods, names=names),
        *_confused(pixels, rows, list(mistakes(labels, values, COLUMNS)), methods=methods, names=names),
    ]
    _draw(path, blocks)
    return path, _missing(module, methods)


def draw_pictures(folder, pictures, out=None):
    """Write explain_pictures.png of picture files, faces cut out as `predict` takes them. Returns as `draw_test_images`.

    UserError after it is written if some are no pictures, which it leaves out; before if none is one.
    """
    result = read_run(folder).result
    names, size = classes_of(result), size_of(result)
    pictures, pixels, errors = _read(pictures, size)
    if not pictures:
        raise UserError("\n".join(errors))
    _, module = restore_module(folder)
    path = _target(folder, out, EXPLAIN_PICTURES)
    methods = explanations(module, pixels[:1])
    with torch.inference_mode():
        values = torch.cat([module.logits(batch).softmax(1) for batch in pixels.split(BATCH)])
    if not values.isfinite().all():
        raise UserError(f"{folder} has no answer: its probabilities are NaN, because its training diverged. Name another run.")
    blocks = []
    for start in range(0, len(pixels), COLUMNS):
        part = slice(start, start + COLUMNS)
        classes = values[part].argmax(1)
        titles = [f"{Path(p).name[-20:]}\n{names[c]} {v[c]:.2f}" for p, c, v in zip(pictures[part], classes, values[part])]
        blocks.append(Block("Your pictures" if not start else "", titles, _rows(pixels[part], methods, classes)))
    _draw(path, blocks)
    if errors:
        raise UserError("\n".join([*errors, f"The other {len(pictures)} are in {path}."]))
    return path, _missing(module, methods)


def _read(pictures, size):
    """(those that can be read, their pixels (N, 1, size, size), a sentence for each of the others)"""
    read, pixels, errors = [], [], []
    for picture in pictures:
        try:
            pixels.append(read_picture(picture, size))
            read.append(picture)
        except UserError as error:
            errors.append(str(error))
    return read, torch.from_numpy(np.stack(pixels)) if read else None, errors


def _target(folder, out, name):
    if out is not None:
        if Path(out).is_file():
            raise UserError(f"{out} is a file: name a folder for the sheet.")
        make_folder(Path(out))
    path = Path(out or folder) / name
    check_writable(path)
    return path


def _missing(module, methods):
    """A sentence for a network that neither Grad-CAM nor rollout can explain."""
    if len(methods) > 1:
        return []
    name = type(getattr(module.backbone, "model", module.backbone)).__name__
    return [f"Saliency only: {name} does not end in a convolutional map, and its attention is not of all patches throughout."]


def _images(pixels, rows):
    return torch.from_numpy(np.array(pixels[rows]))


def _rows(images, methods, classes):
    """The rows of a Block: the images, and each method's maps on them."""
    found = {name: (images[:, 0].numpy(), _maps(method, images, classes)) for name, method in methods.items()}
    return {"image": (images[:, 0].numpy(), None), **found}


def _maps(method, images, classes):
    return torch.cat([method(*batch) for batch in zip(images.split(BATCH), classes.split(BATCH))]).numpy()


def _surest(pixels, rows, labels, *, sure, clean, methods, names):
    """Of each class the image that is right with the largest probability; one with a twin in training only if there is no other.

    sure (N,): that probability, 0 of images that are wrong; clean (N,): which images have no twin
    """
    of_class = [np.flatnonzero((labels == c) & (sure > 0)) for c in range(len(names))]
    best = [max(images, key=lambda i: (clean[i], sure[i])) for images in of_class if len(images)]
    titles = [f"{names[labels[i]]}, {sure[i]:.2f}\n{f'row {rows[i]}' if clean[i] else 'twin in training'}" for i in best]
    never = [name for name, images in zip(names, of_class) if not len(images)]
    title = "Clearly right" + f"; no image of {', '.join(never)} is right" * bool(never)
    return Block(title, titles, _rows(_images(pixels, rows[best]), methods, torch.from_numpy(labels[best])))


def _means(pixels, rows, right, *, methods, names):
    """Of each class the mean of the images that are right, and of their maps. right (N,): the class of an image that is, else -1"""
    means, titles = {}, []
    for c in range(len(names)):
        chosen = np.flatnonzero(right == c)
        if not len(chosen):
            continue
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(AVERAGED, len(chosen))).astype(int)]
        titles.append(f"{names[c]}\nmean of {len(chosen)}")
        for name, (images, maps) in _rows(_images(pixels, rows[chosen]), methods, torch.full((len(chosen),), c)).items():
            means.setdefault(name, []).append((images.mean(0), None if maps is None else maps.mean(0)))
    rows = {name: tuple(zip(*columns)) for name, columns in means.items()}
    return Block("Mean of each class, of images that are right", titles, rows | {"image": (rows["image"][0], None)})


def _confused(pixels, rows, kinds, *, methods, names):
    """Of each of the most frequent mistakes the surest image, with Grad-CAM for the class it is taken for and for its own."""
    if not kinds:
        return
    images = _images(pixels, [rows[which[0]] for *_, which in kinds])
    true, taken = (torch.tensor(classes) for classes in list(zip(*kinds))[:2])
    found = _rows(images, methods, taken)
    if "Grad-CAM" in methods:
        found["Grad-CAM, taken for"] = found.pop("Grad-CAM")
        found["Grad-CAM, true class"] = (images[:, 0].numpy(), _maps(methods["Grad-CAM"], images, true))
    titles = [f"{names[a]} taken\nfor {names[b]}, {len(which)}" for a, b, which in kinds]
    yield Block("Most frequent mistakes, and in how many images", titles, found)


def _draw(path, blocks):
    from matplotlib.figure import Figure

    columns = max(2, max(len(block.titles) for block in blocks))
    heights = [1.35 * len(block.rows) + 0.75 for block in blocks]
    figure = Figure(figsize=(1.5 * columns, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, block in zip(parts, blocks, strict=True):
        part.suptitle(block.title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        grid = part.subplots(len(block.rows), columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for line, (name, (images, maps)) in zip(grid, block.rows.items()):
            line[0].set_axis_on()  # for its label
            line[0].set(xticks=[], yticks=[], frame_on=False)
            line[0].set_ylabel(name.replace(", ", "\n").replace("attention ", "attention\n"), fontsize=9)
            for column, image in enumerate(images):
                line[column].imshow(image, cmap="gray", vmin=0, vmax=255)
                if maps is not None:
                    line[column].imshow(maps[column], cmap="magma", vmin=0, vmax=max(1e-12, maps[column].max()), alpha=OVERLAY)
        for axes, title in zip(grid[0], block.titles):
            axes.set_title(title, fontsize=9, parse_math=False)
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png")
