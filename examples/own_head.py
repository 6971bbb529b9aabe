"""A head of your own on the backbone of a finished run: cosine similarity to one learned direction for each class.

    python examples/own_head.py RUN
"""

import sys

import torch
from torch import nn
from torch.nn import functional as F

from fer_lightning import load_run


class CosineHead(nn.Module):
    """Features (B, num_features) to logits (B, classes): the cosine to each direction, times a learned scale."""

    def __init__(self, num_features, classes, scale=10.0):
        super().__init__()
        self.directions = nn.Parameter(torch.randn(classes, num_features))
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, features):
        return self.scale * F.normalize(features) @ F.normalize(self.directions).T


def train(folder, epochs=5):
    """The accuracy on the validation part: of the run's own head, and of the new one."""
    run = load_run(folder)
    data, module = run.data(), run.module().requires_grad_(False)
    own, head = module.head, CosineHead(module.backbone.num_features, len(run.classes))
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(epochs):
        for pixels, labels, _rows in data.train_dataloader():
            loss = F.cross_entropy(head(module.features(pixels)), labels)  # features: resized, normalised, through the backbone
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    scores = []
    for module.head in (own, head):
        with torch.inference_mode():
            right = torch.cat([module.logits(pixels).argmax(1) == labels for pixels, labels, _ in data.val_dataloader()])
        scores.append(right.float().mean().item())
    return tuple(scores)


if __name__ == "__main__":
    print("val accuracy: {:.3f} with the run's own head, {:.3f} with a cosine head".format(*train(sys.argv[1])))
