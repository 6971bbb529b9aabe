"""Learning-rate schedules. Each function takes the values of a config and returns a `Schedule`, which builds the torch scheduler later.

The arithmetic is torch's. A schedule adds what torch leaves open: how often it steps, which score it watches, how long the run is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch.optim import lr_scheduler as torch_schedulers

from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.scores import direction


@dataclass(frozen=True)
class Schedule:
    """build:    (optimizer, total) -> torch scheduler; total: how many steps it will take in the whole phase
    interval: step | epoch, when it steps
    monitor:  the score that a plateau watches, otherwise None
    """

    build: Callable
    interval: str
    monitor: str | None = None

    def __post_init__(self):
        if self.interval not in ("step", "epoch"):
            raise ConfigError(f"scheduler.interval={self.interval}: choose step or epoch.")


def constant(interval: str = "epoch"):
    """The rate of the optimizer, unchanged (S4-32)."""
    return Schedule(lambda optimizer, total: torch_schedulers.ConstantLR(optimizer, factor=1.0), interval)


def step(step_size: int, gamma: float, interval: str = "epoch"):
    """Multiply the rate by gamma every step_size intervals (S4-33)."""
    return Schedule(lambda optimizer, total: torch_schedulers.StepLR(optimizer, step_size, gamma), interval)


def plateau(
    monitor: str,
    mode: str,
    *,
    factor: float,
    patience: int,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    min_lr: float = 0.0,
    interval: str = "epoch",
):
    """Multiply the rate by factor after `patience` + 1 epochs in a row without a better `monitor`, as torch counts (S4-29).

    Keras' ReduceLROnPlateau does so after `patience` epochs: its patience p is p - 1 here, and its min_delta is a threshold with
    threshold_mode=abs (S2-17, S3-16).

    threshold: better by less does not count; a share of the best value (threshold_mode=rel) or a difference from it (abs)
    """
    if mode != direction("scheduler.monitor", monitor):
        raise ConfigError(f"scheduler.mode={mode}: {monitor} is better the other way; set scheduler.mode={direction('', monitor)}.")
    if interval != "epoch":
        raise ConfigError("scheduler=plateau watches a metric that is known once an epoch: scheduler.interval must be epoch.")

    if threshold_mode not in ("rel", "abs"):
        raise ConfigError(f"scheduler.threshold_mode={threshold_mode}: choose rel or abs.")

    def build(optimizer, total):
        return torch_schedulers.ReduceLROnPlateau(
            optimizer,
            mode=mode,
            factor=factor,
            patience=patience,
            threshold=threshold,
            threshold_mode=threshold_mode,
            min_lr=min_lr,
        )

    return Schedule(build, interval, monitor)


def cosine(period: int | None = None, eta_min: float = 0.0, interval: str = "step"):
    """Half a cosine from the rate to eta_min over `period` intervals, None: the whole phase; after that it rises again (S4-31)."""
    return Schedule(lambda optimizer, total: torch_schedulers.CosineAnnealingLR(optimizer, period or total, eta_min), interval)


def cosine_warm_restarts(first_period: int, multiplier: int = 1, eta_min: float = 0.0, interval: str = "epoch"):
    """A cosine that restarts after first_period intervals; each period is `multiplier` times as long as the one before (S4-30)."""

    def build(optimizer, total):
        return torch_schedulers.CosineAnnealingWarmRestarts(optimizer, first_period, multiplier, eta_min)

    return Schedule(build, interval)


def one_cycle(max_lr: float, *, warmup: float = 0.3, anneal: str = "cos", cycle_momentum: bool = True, interval: str = "step"):
    """Up to max_lr over the share `warmup` of the phase, then down to almost zero (S4-34)."""

    def build(optimizer, total):
        # torch divides by zero if the warm-up is a single step.
        share = warmup if warmup * total != 1 else warmup * (1 + 1e-9)
        return torch_schedulers.OneCycleLR(
            optimizer, max_lr, total_steps=total, pct_start=share, anneal_strategy=anneal, cycle_momentum=cycle_momentum
        )

    return Schedule(build, interval)
