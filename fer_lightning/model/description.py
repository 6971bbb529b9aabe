"""The size of a network: parameters, operations, input."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from fer_lightning.data.faces import SIZE
from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms.prepare import prepare


@torch.no_grad()
def describe(module):
    """{parameters, trainable, flops, input: [channels, height, width]} of a module with a `backbone` and a `head`.

    flops: floating-point operations of the forward pass of one image; a multiply-add counts as two

    Raises ConfigError if the backbone's features are not of the size that it says.
    """
    spec = module.backbone.input_spec
    image = prepare(torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8, device=next(module.parameters()).device), spec)
    module.eval()
    with FlopCounterMode(display=False) as flops:
        features = module.backbone(image)
        if features.shape != (1, module.backbone.num_features):
            name, shape = type(module.backbone).__name__, tuple(features.shape)
            raise ConfigError(f"backbone {name} turns one image into {shape}; its num_features says (1, {module.backbone.num_features}).")
        module.head(features)
    module.train()
    parameters = list(module.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "flops": flops.get_total_flops(),
        "input": [spec.channels, spec.size, spec.size],
    }
