"""Where a trained run looks: the gradient of the winning logit to the pixels, one test picture for each expression (S4-44).

    python -m fer_lightning.saliency RUN

Writes RUN/saliency.png: the picture, the saliency, and the one over the other at 0.4. The pictures are FER-2013's: not for redistribution.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from fer_lightning.data.faces import CLASSES
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replacing
from fer_lightning.training.restore import restore
from fer_lightning.transforms.prepare import prepare

SHEET = "saliency.png"

OVERLAY = 0.4


def saliency(module, pixels):
    """(maps (N, H, W) in [0, 1], winning classes (N,)) of pictures (N, 1, H, W) uint8.

    A map is the absolute gradient of the winning logit to each grey value, scaled from its least to its greatest.
    """
    pixels = pixels.float().requires_grad_()
    logits = module.eval()(prepare(pixels, module.backbone.input_spec, module.channels_last))
    won = logits.max(1)
    # Pictures do not meet in eval mode, so the gradient of the sum holds each one's own.
    (gradient,) = torch.autograd.grad(won.values.sum(), pixels)
    maps = gradient.abs().squeeze(1)
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-12), won.indices


def draw_sheet(folder):
    """Write saliency.png into a finished run's folder. UserError where there is no finished run or no test part."""
    from matplotlib.figure import Figure

    _, faces, data, module = restore(folder)
    test = data.split.test
    if not len(test):
        raise UserError(f"{folder}: its protocol ({data.split.protocol}) keeps no test part to show pictures of.")
    first = {c: test[faces.labels[test] == c][:1] for c in range(len(CLASSES))}
    rows = np.concatenate(list(first.values()))
    pixels = torch.from_numpy(np.array(faces.pixels[rows]))
    maps, winners = saliency(module, pixels)
    figure = Figure(figsize=(1.5 * len(rows), 5.2), layout="constrained")
    for column, (axes, row, winner) in enumerate(zip(figure.subplots(3, len(rows), squeeze=False).T, rows, winners.tolist(), strict=True)):
        axes[0].set_title(f"{CLASSES[faces.labels[row]]}\nseen as {CLASSES[winner]}", fontsize=9)
        axes[0].imshow(pixels[column, 0], cmap="gray", vmin=0, vmax=255)
        axes[1].imshow(maps[column], cmap="magma", vmin=0, vmax=1)
        axes[2].imshow(pixels[column, 0], cmap="gray", vmin=0, vmax=255)
        axes[2].imshow(maps[column], cmap="magma", vmin=0, vmax=1, alpha=OVERLAY)
        for panel in axes:
            panel.set_axis_off()
    path = Path(folder) / SHEET
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png")
    return path


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.saliency", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run folder")
    try:
        print(draw_sheet(parser.parse_args().run))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
