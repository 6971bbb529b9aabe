"""Types and ranges of the numbers that a config hands to a `_target_`, by the key of the node. A target of a user's own has its own."""

from dataclasses import dataclass
from typing import Any

from fer_lightning.config.ranges import FRACTION, PROBABILITY, SEED, SIZE, WIDTH, one_of, span, within
from fer_lightning.config.schema import FREEZE

# Packages whose arguments have these ranges.
PACKAGES = ("fer_lightning.", "hydra.", "hydra_plugins.", "lightning.", "torch.")


@dataclass
class Optimizer:
    lr: float = within(0, noun="a learning rate")
    momentum: float = within(0, 1)
    filter_momentum: float = within(0, 1)
    dampening: float = within(0, 1)
    weight_decay: float = within(0)
    betas: list[float] = within(0, below=1)
    eps: Any = within(0)
    rho: float = within(0, 1)
    alpha: float = within(0)
    lambd: float = within(0)
    t0: float = within(0)
    lr_decay: float = within(0)
    momentum_decay: float = within(0)
    initial_accumulator_value: float = within(0)


@dataclass
class Scheduler:
    max_lr: float = within(0, noun="a learning rate")
    min_lr: float = within(0, noun="a learning rate")
    eta_min: float = within(0, noun="a learning rate")
    warmup: float = within(0, below=1)
    anneal: str = one_of("cos", "linear")
    step_size: int = within(1)
    gamma: float = within(0)
    factor: float = within(0, below=1)
    patience: int = within(0)
    threshold: float = within(0)
    period: int | None = within(1)
    first_period: int = within(1)
    multiplier: int = within(1)


@dataclass
class Loss:
    label_smoothing: float = within(0, 1)
    max_weight: float | None = within(above=0)


@dataclass
class Augment:
    """See `fer_lightning.transforms.augment.Augment`, which checks what does not come from a config."""

    flip: float = within(**PROBABILITY)
    shift: int = within(0, 47, noun="a number of pixels")
    shift_fraction: float = within(**FRACTION)
    shift_p: float = within(**PROBABILITY)
    rotation: float = within(0, 180, noun="an angle")
    rotation_p: float = within(**PROBABILITY)
    zoom: float = within(0, 0.9, noun="a zoom")
    zoom_p: float = within(**PROBABILITY)
    shear: float = within(0, 80, noun="an angle of shear")
    shear_p: float = within(**PROBABILITY)
    resized_crop: float = within(**PROBABILITY)
    resized_crop_area: list[float] = span(above=0)
    resized_crop_ratio: list[float] = span(above=0)
    resized_crop_size: int | None = within(**SIZE, noun="a size")
    brightness: float = within(**FRACTION)
    brightness_p: float = within(**PROBABILITY)
    contrast: float = within(**FRACTION)
    contrast_p: float = within(**PROBABILITY)
    crop_size: int | None = within(**SIZE, noun="a size")
    erase: float = within(**PROBABILITY)
    erase_area: list[float] = span(above=0)
    erase_ratio: list[float] = span(above=0)
    erase_value: int = within(0, 255, noun="a grey level")
    mixup: float = within(0, noun="a concentration")


@dataclass
class Evaluation:
    size: int | None = within(2, 48, noun="a size")


@dataclass
class Protocol:
    seed: int = within(**SEED)
    folds: int = within(2)
    fold: int = within(0)


@dataclass
class Data:
    train: int = within(2, 1_000_000)
    val: int = within(1, 1_000_000)
    test: int = within(1, 1_000_000)
    seed: int = within(**SEED)
    size: int = within(16, 1024, noun="a size")


@dataclass
class Backbone:
    freeze: str = one_of(*FREEZE)
    widths: list[int] = within(**WIDTH)
    dropout: float = within(**PROBABILITY)
    drop_path_rate: float | None = within(0, below=1)
    input_size: int | None = within(**SIZE)
    in_channels: int | None = within(1, 3)


@dataclass
class Norm:
    eps: float = within(0)
    momentum: float | None = within(0, 1)


@dataclass
class Activation:
    negative_slope: float = within()


@dataclass
class Trainer:
    """The keys of Lightning's Trainer that are obeyed; `fer_lightning.config.trainer_keys` has the others."""

    max_epochs: int = within(1)
    gradient_clip_val: float | None = within(0)
    gradient_clip_algorithm: str | None = one_of("norm", "value")
    accumulate_grad_batches: int = within(1)
    check_val_every_n_epoch: int = within(1)


@dataclass
class Search:
    n_trials: int = within(1)
    n_jobs: int = within(1)
    seed: int = within(**SEED)
    max_batch_size: int | None = within(1)


@dataclass
class Launcher:
    processes: int | None = within(1)


# {key of a node with a target: its numbers}; optimizer and scheduler also within a phase
ARGUMENTS = {
    "data": Data,
    "protocol": Protocol,
    "augment": Augment,
    "evaluation": Evaluation,
    "backbone": Backbone,
    "head.norm": Norm,
    "head.act": Activation,
    "loss": Loss,
    "optimizer": Optimizer,
    "scheduler": Scheduler,
    "trainer": Trainer,
    "hydra.sweeper": Search,
    "hydra.launcher": Launcher,
}
