"""saliency.png of a run folder: one test image per expression, its saliency map, and both together."""

from pathlib import Path

import numpy as np
import torch

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, replacing
from fer_lightning.runs.layout import SALIENCY
from fer_lightning.training.inference import saliency
from fer_lightning.training.restore import restore

OVERLAY = 0.4


def draw_sheet(folder):
    """Write saliency.png into the folder of a finished run; returns its path. UserError without a finished run or a test part."""
    path = Path(folder) / SALIENCY
    _, faces, data, module = restore(folder)
    check_writable(path)
    test = data.split.test
    if not len(test):
        raise UserError(f"{folder}: its protocol ({data.split.protocol}) has no test part to take images from.")
    rows = np.concatenate([test[faces.labels[test] == c][:1] for c in range(len(faces.classes))])
    pixels = torch.from_numpy(np.array(faces.pixels[rows]))
    maps, predicted = saliency(module, pixels)
    seen = (*faces.classes, "no class")
    titles = [f"{faces.classes[label]}\nseen as {seen[c]}" for label, c in zip(faces.labels[rows], predicted.tolist(), strict=True)]
    figure = _figure(pixels[:, 0], maps, titles)
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png")
    return path


def _figure(images, maps, titles):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * len(images), 5.2), layout="constrained")
    for column, axes in enumerate(figure.subplots(3, len(images), squeeze=False).T):
        axes[0].set_title(titles[column], fontsize=9)
        axes[0].imshow(images[column], cmap="gray", vmin=0, vmax=255)
        axes[1].imshow(maps[column], cmap="magma", vmin=0, vmax=1)
        axes[2].imshow(images[column], cmap="gray", vmin=0, vmax=255)
        axes[2].imshow(maps[column], cmap="magma", vmin=0, vmax=1, alpha=OVERLAY)
        for panel in axes:
            panel.set_axis_off()
    return figure
