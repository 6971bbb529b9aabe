"""A trained network from the grey face to the probabilities, so that nothing is left to do for whoever runs it elsewhere."""

import torch
from torch import nn

from fer_lightning.transforms.prepare import prepare


class WholeNetwork(nn.Module):
    """Faces (B, 1, 48, 48) uint8 to class probabilities (B, classes): views, resizing and normalisation are part of it.

    It computes the softmax of `FERModule.logits`, but holds no Lightning module, which torch.export cannot read.
    """

    def __init__(self, backbone, head, views):
        super().__init__()
        self.backbone, self.head, self.views = backbone, head, views
        self.eval()

    def forward(self, faces):
        inputs = prepare(self.views.expand(faces), self.backbone.input_spec)
        return self.views.merge(self.head(self.backbone(inputs))).softmax(1)


@torch.inference_mode()
def run_torch(network, faces, batch=64):
    """The probabilities (N, classes) of faces (N, 1, S, S) uint8: NumPy arrays, as `run_onnx` has them."""
    return torch.cat([network(part) for part in torch.from_numpy(faces).split(batch)]).numpy()
