"""How close an optimizer works to the edge of stability (Cohen et al. 2021, 2022), and how much its gradient changes over one step
(Santurkar et al. 2018).

losses: a function without arguments that yields the parts of which the loss is the sum, so that only one part's graph is in memory
rates:  the learning rate of each of the optimizer's parameter groups
"""

import logging
import math
from functools import reduce

import scipy
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import get_total_norm

log = logging.getLogger(__name__)

STEPS = 15


def edge_ratio(losses, optimizer, rates):
    """The largest curvature of the loss over the largest at which the optimizer's steps are stable: 1 is the edge of stability.

    NaN for an optimizer whose edge is not known here (SGD, Adam and AdamW are), and, with a warning, for a network with a function that
    has no second derivative in torch, such as the gates of MobileNetV3.

    The curvature is the largest positive eigenvalue of D^1/2 H D^1/2 by 15 steps of Lanczos' method, where H is the Hessian of the loss
    and D holds the rate of each parameter, for Adam divided by its sqrt(v) + eps; 0 if there is none. (Power iteration takes as many
    steps, and finds the eigenvalue of the largest modulus, which may be negative: no step grows along it.)
    """
    if type(optimizer) not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):  # Muon is a subclass of SGD with other steps
        return float("nan")
    try:
        return _curvature(losses, optimizer, rates) / edge(optimizer.param_groups[0])
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        log.warning("eos is not measured: %s", error)
        return float("nan")


def _curvature(losses, optimizer, rates):
    parameters, rate, divisor = zip(*_stepped(optimizer, rates))
    root = [(r / d) ** 0.5 for r, d in zip(rate, divisor)]
    generator = torch.Generator().manual_seed(0)
    vector = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
    before, length = [torch.zeros_like(v) for v in vector], get_total_norm(vector)
    diagonal, beside = [], []
    for _ in range(STEPS):
        vector = [v / length for v in vector]
        product = hessian_vector(losses, parameters, [s * v for s, v in zip(root, vector)])
        product = [s * p for s, p in zip(root, product)]
        diagonal.append(sum((v * p).sum() for v, p in zip(vector, product)).item())
        last = beside[-1] if beside else 0.0
        rest = [p - diagonal[-1] * v - last * b for p, v, b in zip(product, vector, before)]
        before, vector, length = vector, rest, get_total_norm(rest)
        beside.append(length.item())
        # What is left of the product is rounding: the curvatures of all that the first vector reaches are found.
        if not beside[-1] > 1e-6 * get_total_norm(product).item():
            break
    if not math.isfinite(sum(diagonal)):
        return math.nan
    return max(0.0, float(scipy.linalg.eigvalsh_tridiagonal(diagonal, beside[:-1])[-1]))


def edge(group):
    """Learning rate times curvature above which steps of a parameter group grow: (2 + 2 mu) / (1 - d); Nesterov: (2 + 2 mu) / (1 + 2 mu).

    mu: the momentum; d: its dampening. Adam's first moment is a momentum beta_1 with the dampening beta_1.
    """
    momentum, dampening = (group["momentum"], group["dampening"]) if "momentum" in group else (group["betas"][0], group["betas"][0])
    return (2 + 2 * momentum) / (1 + 2 * momentum if group.get("nesterov") else 1 - dampening)


def predictiveness(losses, optimizer, rates):
    """|g' - g| / |g|, where g' is the gradient after one plain gradient step at the optimizer's rates. The parameters are restored."""
    parameters, rate, _ = zip(*_stepped(optimizer, rates))
    kept = [p.detach().clone() for p in parameters]
    before = _gradient(losses, parameters)
    try:
        with torch.no_grad():
            for p, r, g in zip(parameters, rate, before):
                p.sub_(r * g)
        after = _gradient(losses, parameters)
    finally:
        with torch.no_grad():
            for p, value in zip(parameters, kept):
                p.copy_(value)
    return (get_total_norm([a - b for a, b in zip(after, before)]) / get_total_norm(before)).item()


def hessian_vector(losses, parameters, vector):
    """The Hessian of the loss with respect to the parameters, times a vector of their shapes."""

    def product(loss):
        gradient = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
        return torch.autograd.grad(sum((g * v).sum() for g, v in zip(gradient, vector)), parameters, materialize_grads=True)

    with sdpa_kernel(SDPBackend.MATH):  # the faster attention kernels have no second derivative
        return _sum(product(loss) for loss in losses())


def _gradient(losses, parameters):
    return _sum(torch.autograd.grad(loss, parameters, materialize_grads=True) for loss in losses())


def _sum(parts):
    return reduce(lambda total, part: [a + b for a, b in zip(total, part)], parts)


def _stepped(optimizer, rates):
    """Each parameter that the optimizer updates, its rate, and the divisor of its step: 1, for Adam sqrt(v) + eps with unbiased v."""
    for group, rate in zip(optimizer.param_groups, rates):
        for p in group["params"]:
            if "amsgrad" not in group:  # no Adam
                yield p, rate, 1.0
            elif state := optimizer.state[p]:  # empty if it never had a gradient: the network does not use it
                square = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
                yield p, rate, (square / (1 - group["betas"][1] ** float(state["step"]))).sqrt() + group["eps"]
