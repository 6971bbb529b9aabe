"""The shape of the config: which keys the root has and what type each scalar is. Hydra refuses anything else at composition.

Nodes that name a `_target_` are open here: the signature of the target is their schema (`fer_lightning.targets`).
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Head:
    hidden: int | None = MISSING
    dropout: float = MISSING
    norm: Any = MISSING
    act: Any = MISSING


@dataclass
class Study:
    """question: what the study asks; command: how to run it; cost: what that takes; published: the paper's numbers."""

    name: str = MISSING
    question: str = ""
    command: str = ""
    cost: str = ""
    published: list[Any] = field(default_factory=list)


@dataclass
class Config:
    data: Any = MISSING
    protocol: Any = MISSING
    augment: Any = MISSING
    backbone: Any = MISSING
    head: Head = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    trainer: Any = MISSING
    logger: Any = MISSING
    study: Study = MISSING
    seed: int = MISSING
    batch_size: int = MISSING
    eval_batch_size: int = MISSING
    precision: str = MISSING
    channels_last: bool = MISSING
    ema_decay: float | None = MISSING
    monitor: str = MISSING
    patience: int | None = MISSING


ConfigStore.instance().store(name="schema", node=Config)
