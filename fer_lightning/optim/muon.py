"""Muon: stochastic gradient descent that moves the filters of a convolution by the orthogonal matrix nearest to their momentum.

Jordan et al. (2024), https://kellerjordan.github.io/posts/muon. Weights of fixed norm, momentum and rate as in their airbench for CIFAR-10.
torch.optim.Muon takes matrices only; here the filters of convolutions are the matrices, and SGD steps all other parameters.
"""

import torch
from torch.optim import SGD

from fer_lightning.model.precision import computes_bf16

# x -> 3.4445 x - 4.7750 x^3 + 2.0315 x^5, applied five times, takes every singular value in 0.01 to 1 into 0.7 to 1.2.
QUINTIC = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(SGD):
    """Muon for the filters of convolutions, (out, in, height, width) read as (out, in height width); SGD-Nesterov for the rest.

    lr:              of both, so that one schedule serves both
    filter_momentum: of the filters, Nesterov's
    momentum, weight_decay: of the rest. Filters have no decay: before a step they are scaled to the norm sqrt(out), which a norm layer
                     behind the convolution cancels. So lr alone decides how far they turn
    """

    def __init__(self, params, lr: float = 0.08, *, filter_momentum: float = 0.6, momentum: float = 0.9, weight_decay: float = 5e-4):
        params = list(params)
        filters = {"params": [p for p in params if p.ndim == 4], "momentum": 0.0, "weight_decay": 0.0, "nesterov": False}
        rest = {"params": [p for p in params if p.ndim != 4]}
        self.filter_momentum = filter_momentum
        super().__init__([rest, filters], lr, momentum, weight_decay=weight_decay, nesterov=True)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for filters in self.param_groups[1]["params"]:
            if filters.grad is not None:
                self._turn(filters)
        super().step()
        return loss

    def _turn(self, filters):
        """Replace the gradient of filters by the direction of their step, and scale the filters to their norm."""
        average = self.state[filters].setdefault("average", torch.zeros_like(filters))
        average.mul_(self.filter_momentum).add_(filters.grad)
        direction = filters.grad.add(average, alpha=self.filter_momentum).flatten(1)
        filters.grad = orthogonal(direction).view_as(filters).to(filters)
        filters.mul_(len(filters) ** 0.5 / filters.norm())


def orthogonal(matrix):
    """An approximation of the orthogonal matrix nearest to a matrix (rows, columns): the same singular vectors, singular values 0.7 to 1.2.

    Newton-Schulz iterations, in bfloat16 if the device has instructions for it, otherwise in float32; the result has that type.
    """
    a, b, c = QUINTIC
    x = matrix.T if len(matrix) > matrix.shape[1] else matrix  # the smaller side is the one that is squared
    x = (x / x.norm().clamp(min=1e-7)).to(torch.bfloat16 if computes_bf16(x.device.type) else torch.float32)
    for _ in range(STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if len(matrix) > matrix.shape[1] else x
