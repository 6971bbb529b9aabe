"""The schema of the config: the keys of the root, the type of each scalar, which Hydra checks when it composes, and its range.

Nodes with a `_target_` are open here: the signature of the target is their schema (`fer_lightning.config.targets`), and the numbers among
their arguments have their ranges in `fer_lightning.config.arguments`.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from fer_lightning.config.ranges import PROBABILITY, SEED, SIZE, WIDTH, one_of, within
from fer_lightning.config.registered_analysis import Analysis

FREEZE = ("none", "all", "norms")

# auto, or one of Lightning's names
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")


@dataclass
class Head:
    hidden: int | None = within(**WIDTH)
    dropout: float = within(**PROBABILITY)
    order: list[str] = MISSING
    norm: Any = MISSING
    act: Any = MISSING


@dataclass
class Published:
    """One cell of a paper's table: numbers as printed, in percent, with trailing zeros, or with < or > a bound; row: its code in
    docs/papers.md; epoch: after which the numbers hold, counted from 1 (null: those of the selected epoch).
    """

    cell: dict[str, Any] = MISSING
    row: str = MISSING
    epoch: int | None = None
    train_loss: str | None = None
    train_accuracy: str | None = None
    val_accuracy: str | None = None
    test_accuracy: str | None = None
    macro_f1: str | None = None
    weighted_f1: str | None = None
    parameters_m: str | None = None
    test_pass_ms: str | None = None
    stability: str | None = None
    per_class: dict[str, Any] | None = None
    note: str | None = None


@dataclass
class Study:
    """A file of conf/study/. Its name and its command, `python -m fer_lightning -m study=NAME`, follow from the name of the file.

    question:  what it asks; cost: what the command takes
    paper:     which table it repeats; protocol, images: of the paper's numbers; each accuracy is a share of so many images
    published: the paper's numbers; doubts: where its text contradicts its own table
    analysis:  what is tested and how, registered before the first run
    rates:     learning rates that the file chose beforehand; its `optimizer.lr` looks up the one of a cell
    rerun:     none | failed: which jobs that already ended this command runs again
    """

    question: str = ""
    cost: str = ""
    paper: str | None = None
    protocol: str | None = None
    images: int | None = within(1, default=None)
    published: list[Published] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    analysis: Analysis = field(default_factory=Analysis)
    rates: dict[str, Any] | None = None
    rerun: str = one_of("none", "failed", default="none")


@dataclass
class Phase:
    """See `fer_lightning.training.phases.Phase`; without an optimizer or scheduler of its own a phase takes the root's."""

    epochs: int = within(1)
    freeze: str = "none"
    data: str = "train"
    start: str = "last"
    optimizer: Any = None
    scheduler: Any = None


@dataclass
class Stability:
    """See `fer_lightning.training.stability_monitor`."""

    probe: int = within(1)
    sharpness_every: int | None = within(1)


@dataclass
class Config:
    data: Any = MISSING
    protocol: Any = MISSING
    augment: Any = MISSING
    evaluation: Any = MISSING
    backbone: Any = MISSING
    head: Head = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    phases: dict[str, Phase] = field(default_factory=dict)
    trainer: Any = MISSING
    logger: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    recipe: Any = None
    study: Study = MISSING
    seed: int = within(**SEED)
    epochs: int = within(1)
    pretrained: bool = MISSING
    input_size: int | None = within(**SIZE)
    train_sizes: list[int] | None = within(**SIZE)
    prior_bias: bool = MISSING
    batch_size: int = within(2)  # batch norm cannot train on one image
    eval_batch_size: int = within(1)
    precision: str = one_of(*PRECISIONS)
    threads: int | str = MISSING
    channels_last: bool = MISSING
    compile: bool = MISSING
    ema_decay: float | None = within(0, 1)
    monitor: str = MISSING
    select: str = one_of("best", "last")
    patience: int | None = within(0)
    timed_passes: int = within(0)
    on_error: str = one_of("continue", "stop")
    on_oom: str = one_of("fail", "halve")
    near_twins: float | None = within(0.9, 1)
    stability: Stability = MISSING


ConfigStore.instance().store(name="schema", node=Config)
