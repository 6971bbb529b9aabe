"""A training run as a sequence of phases: what trains, on which pictures, with which optimizer (checklist S2-12, S2-13, S4-35)."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from fer_lightning.optim.schedules import Schedule
from fer_lightning.process.errors import ConfigError

FREEZE = ("none", "all", "norms")
DATA = ("train", "train+val")
START = ("last", "best")


@dataclass(frozen=True)
class Phase:
    """epochs:    how long
    freeze:    what of the backbone stands still: none | all | norms, without gradient and without new statistics
    data:      train | train+val; a phase that trains on the validation part cannot select by it, so its last epoch counts
    start:     last | best weights of the phases before
    optimizer: parameters -> torch optimizer
    """

    name: str
    epochs: int
    optimizer: Callable
    schedule: Schedule
    freeze: str = "none"
    data: str = "train"
    start: str = "last"

    def __post_init__(self):
        for key, known in (("freeze", FREEZE), ("data", DATA), ("start", START)):
            if getattr(self, key) not in known:
                raise ConfigError(f"phase {self.name}: {key}={getattr(self, key)}: choose {', '.join(known[:-1])} or {known[-1]}.")


def is_untouched(phases, number):
    """Whether in a phase, counted from 0, a backbone is still what it was built as: it has not been trained before and is not now."""
    return all(phase.freeze == "all" for phase in phases[: number + 1])


def share_epochs(epochs, total):
    """Scale the phases' epochs so that they make up `total`, at least one each: `trainer.max_epochs` stays the one budget of a run.

    epochs: list of int. Returns a list of int.
    """
    if total < len(epochs):
        raise ConfigError(f"trainer.max_epochs={total} is too few for {len(epochs)} phases: give each one epoch at least.")
    shares = [max(1, round(e * total / sum(epochs))) for e in epochs]
    while sum(shares) != total:
        step = 1 if sum(shares) < total else -1
        # The phase that rounding served worst; none goes below one epoch.
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
