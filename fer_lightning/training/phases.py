"""A training run as a sequence of phases: what trains, on which images, with which optimizer (S2-12, S2-13, S4-35)."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from torch import nn

from fer_lightning.config.schema import FREEZE
from fer_lightning.optim.schedules import Schedule
from fer_lightning.process.errors import ConfigError

DATA = ("train", "train+val")
START = ("last", "best")


@dataclass(frozen=True)
class Phase:
    """epochs:    how long it lasts
    optimizer: parameters -> torch optimizer
    freeze:    none | all | norms: what of the backbone has no gradient and keeps its statistics
    data:      train | train+val: what it trains on; with train+val nothing is held out to select by, so its last epoch counts
    start:     last | best: with which weights of the phase before it starts

    Raises ConfigError for any other value.
    """

    name: str
    epochs: int
    optimizer: Callable
    schedule: Schedule
    _: KW_ONLY
    freeze: str = "none"
    data: str = "train"
    start: str = "last"

    def __post_init__(self):
        for key, known in (("freeze", FREEZE), ("data", DATA), ("start", START)):
            if getattr(self, key) not in known:
                raise ConfigError(f"phase {self.name}: {key}={getattr(self, key)}: choose {', '.join(known[:-1])} or {known[-1]}.")


def is_untouched(phases, number):
    """Whether the backbone still has the weights it was built with in a phase, counted from 0: it is frozen there and before."""
    return all(phase.freeze == "all" for phase in phases[: number + 1])


def share_epochs(epochs, total):
    """Scale the epochs of the phases, a list of int, so that their sum is `total` and each has at least one. Returns a list of int.

    So `trainer.max_epochs` stays the one budget of a run. ConfigError if it is smaller than the number of phases.
    """
    if total < len(epochs):
        raise ConfigError(f"trainer.max_epochs={total} is too few for {len(epochs)} phases: give each one epoch at least.")
    shares = [max(1, round(e * total / sum(epochs))) for e in epochs]
    while sum(shares) != total:
        step = 1 if sum(shares) < total else -1
        # The phase with the largest rounding error; none goes below one epoch.
        errors = [step * (e * total / sum(epochs) - s) if s + step >= 1 else float("-inf") for e, s in zip(epochs, shares)]
        shares[errors.index(max(errors))] += step
    return shares


def freeze(backbone, what):
    """Set which parameters of a backbone have a gradient, and return the modules that must stay in eval mode."""
    backbone.requires_grad_(what != "all")
    if what == "all":
        return [backbone]
    norms = [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)] if what == "norms" else []
    for norm in norms:
        norm.requires_grad_(False)
    return norms
