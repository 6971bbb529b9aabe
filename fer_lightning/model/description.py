"""The size of a network: parameters, operations, input."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from fer_lightning.data.faces import SIZE
from fer_lightning.transforms.prepare import prepare


@torch.no_grad()
def describe(module):
    """{parameters, trainable, flops, input: [channels, height, width]} of a module with a `backbone`.

    flops: floating-point operations of the forward pass of one image; a multiply-add counts as two
    """
    spec = module.backbone.input_spec
    image = prepare(torch.zeros(1, 1, SIZE, SIZE, dtype=torch.uint8, device=next(module.parameters()).device), spec)
    module.eval()
    with FlopCounterMode(display=False) as flops:
        module(image)
    module.train()
    parameters = list(module.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "flops": flops.get_total_flops(),
        "input": [spec.channels, spec.size, spec.size],
    }
