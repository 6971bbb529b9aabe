"""A plain torch loop over the images that fer_lightning reads, checks and splits. No Lightning Trainer, no config.

    python examples/torch_loop.py [FOLDER]         # FOLDER: where FER-2013 is; without it faces are drawn
"""

import sys

import torch
from torch import nn

from fer_lightning import FERDataModule, read_fer2013
from fer_lightning.data.protocols import official
from fer_lightning.data.synthetic import draw


def scaled(pixels):
    """Batches are uint8, (B, 1, 48, 48): what happens to them from here on is yours."""
    return (pixels.float() - 128) / 64


def train(faces, epochs=3):
    """The share of the validation images that a small network gets right."""
    data = FERDataModule(faces, official(faces), batch_size=64)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 5, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, len(data.class_counts)),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    batches = data.train_dataloader()
    for epoch in range(epochs):
        batches.batch_sampler.sampler.set_epoch(epoch)  # the order is a function of seed and epoch
        for pixels, labels, _rows in batches:  # rows: where the images are in `faces`
            loss = nn.functional.cross_entropy(network(scaled(pixels)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.inference_mode():
        right = [network(scaled(pixels)).argmax(1) == labels for pixels, labels, _ in data.val_dataloader()]
    return torch.cat(right).float().mean().item()


if __name__ == "__main__":
    print(f"val accuracy {train(read_fer2013(sys.argv[1]) if len(sys.argv) > 1 else draw()):.3f}")
