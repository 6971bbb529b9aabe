"""What is checked of a config before torch is imported: ranges and choices, keys of the trainer, which targets are completed later."""

import re
from importlib.util import find_spec

from omegaconf import DictConfig, OmegaConf

from fer_lightning.config.arguments import ARGUMENTS, PACKAGES
from fer_lightning.config.ranges import check_values
from fer_lightning.config.schema import Config, Head, Phase, Stability, Study
from fer_lightning.config.trainer_keys import check_trainer
from fer_lightning.process.errors import ConfigError
from fer_lightning.safety.allowed_targets import USERS, VARIABLE

SCHEMAS = {"": Config, "head": Head, "phases.*": Phase, "stability": Stability, "study": Study}

MOST_THREADS = 256

MIXED = ("bf16-mixed", "bf16", "16-mixed", "16")

# Training calls what these nodes make with arguments of its own: parameters, class counts, images, a width.
COMPLETED_LATER = ("protocol", "head.norm", "head.act", "loss", "optimizer")


def check_config(cfg, *, with_types=True):
    """Raise ConfigError for a value that no run can have, in a config or a part of it. with_types: whether also for one of a wrong type"""
    for key, node in _mappings(cfg):
        place = re.sub(r"^phases\.[^.]+", "phases.*", key)
        if place in SCHEMAS:
            check_values(key, node, SCHEMAS[place], with_types=with_types)
        elif "_target_" in node:
            place = place.removeprefix("phases.*.")
            _check_package(key, str(node._target_))
            _check_partial(key, node, later=place in COMPLETED_LATER)
            if place in ARGUMENTS and str(node._target_).startswith(PACKAGES):
                check_values(key, node, ARGUMENTS[place], with_types=with_types)
    if "trainer" in cfg:
        check_trainer(cfg.trainer)
    if "threads" in cfg:
        _check_threads(cfg.threads)
    if "precision" in cfg:
        check_clipping(cfg, cfg.precision)


def check_clipping(cfg, precision):
    """Raise ConfigError if gradients of mixed precision are to be clipped beside a fused optimizer, which rescales them within its step."""
    clip = cfg.trainer.get("gradient_clip_val") if "trainer" in cfg else None
    if not clip or str(precision) not in MIXED:
        return
    own = {f"phases.{name}.optimizer": phase.optimizer for name, phase in cfg.phases.items() if phase.optimizer is not None}
    used = own if own and len(own) == len(cfg.phases) else own | {"optimizer": cfg.optimizer}
    for key, node in used.items():
        if node.get("fused"):
            raise ConfigError(
                f"{key}.fused=true: with precision={precision} the gradients of a fused optimizer cannot be clipped. Leave out fused, "
                f"trainer.gradient_clip_val={clip}, or the mixed precision (precision=32-true)."
            )


def _check_threads(threads):
    if threads != "auto" and (not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS):
        raise ConfigError(f"threads={threads}: give auto, or a whole number from 1 to {MOST_THREADS}.")


def _check_partial(key, node, *, later):
    partial = node.get("_partial_", False)
    if partial and not later and key in ARGUMENTS:
        raise ConfigError(f"{key}._partial_=true: leave it out, because {node._target_} is called with what stands here.")
    if later and not partial:
        raise ConfigError(f"{key} needs the line `_partial_: true`, because training calls {node._target_} with arguments of its own.")


def _check_package(key, target):
    """A package that the variable misspells is the likely reason why a target is not allowed."""
    absent = [package for package in USERS if find_spec(package.partition(".")[0]) is None]
    if absent and not key.startswith("hydra.") and not target.startswith((*PACKAGES, *(f"{package}." for package in USERS))):
        raise ConfigError(f"{VARIABLE} names {absent[0]}, and there is no such package; {key}._target_ is {target}.")


def _mappings(cfg, key=""):
    """(key, node) of every mapping of a config that is not the value of a reference."""
    yield key, cfg
    for name in cfg:
        if not OmegaConf.is_missing(cfg, name) and not OmegaConf.is_interpolation(cfg, name) and isinstance(cfg[name], DictConfig):
            yield from _mappings(cfg[name], f"{key}.{name}".lstrip("."))
