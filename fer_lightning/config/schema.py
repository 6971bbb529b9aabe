"""The schema of the config: the keys of the root and the type of each scalar. Hydra refuses anything else when it composes.

Nodes with a `_target_` are open here: the signature of the target is their schema (`fer_lightning.config.targets`).
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from fer_lightning.config.registered_analysis import Analysis


@dataclass
class Head:
    hidden: int | None = MISSING
    dropout: float = MISSING
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
    rerun:     none | failed: which jobs that already ended this command runs again
    """

    question: str = ""
    cost: str = ""
    paper: str | None = None
    protocol: str | None = None
    images: int | None = None
    published: list[Published] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    analysis: Analysis = field(default_factory=Analysis)
    rerun: str = "none"


@dataclass
class Phase:
    """See `fer_lightning.training.phases.Phase`; without an optimizer or scheduler of its own a phase takes the root's."""

    epochs: int = MISSING
    freeze: str = "none"
    data: str = "train"
    start: str = "last"
    optimizer: Any = None
    scheduler: Any = None


@dataclass
class Stability:
    """See `fer_lightning.training.stability_monitor`."""

    probe: int = MISSING
    sharpness_every: int | None = MISSING


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
    recipe: Any = None
    study: Study = MISSING
    seed: int = MISSING
    epochs: int = MISSING
    pretrained: bool = MISSING
    input_size: int | None = MISSING
    train_sizes: list[int] | None = MISSING
    prior_bias: bool = MISSING
    batch_size: int = MISSING
    eval_batch_size: int = MISSING
    precision: str = MISSING
    threads: int | str = MISSING
    channels_last: bool = MISSING
    compile: bool = MISSING
    ema_decay: float | None = MISSING
    monitor: str = MISSING
    select: str = MISSING
    patience: int | None = MISSING
    timed_passes: int = MISSING
    on_error: str = MISSING
    on_oom: str = MISSING
    near_twins: float | None = MISSING
    stability: Stability = MISSING


ConfigStore.instance().store(name="schema", node=Config)
