"""What a `_target_` in a config may name. Hydra calls whatever stands there, and configs come from other people.

A name is refused by how it is written before anything of it is imported, because importing a module runs it. What it leads to is then
judged by where it is defined, because `torch.nn.modules.module.torch.load` also begins with torch.nn.
"""

import inspect
import os
import sys

from hydra.utils import get_object

from fer_lightning.process.errors import ConfigError

# Of our own modules, those that hold what a config builds: other functions write files.
OWN = tuple(
    f"fer_lightning.{name}"
    for name in (
        *("data.fer2013", "data.protocols", "data.synthetic", "loggers.mirrors", "model.backbones", "model.losses"),
        *("optim.muon", "optim.schedules", "transforms.augment", "transforms.views"),
    )
)
# Of others, those whose classes do no more than what is configured. Their functions are not named: hub and serialization are near.
CLASSES = ("torch.nn", "torch.optim", "lightning.pytorch.strategies", "lightning.pytorch.plugins", "lightning.fabric.plugins")
TRAINER = "lightning.Trainer"

# Packages of the user's own, by name: my_backbones,other. Read once, so that a config cannot set it (hydra.job.env_set).
VARIABLE = "FER_LIGHTNING_PACKAGES"
USERS = tuple(filter(None, os.environ.get(VARIABLE, "").replace(" ", "").split(",")))

# For `hydra.main(execution_whitelist=)`, which Hydra has from 1.4 on.
RESOLVED = ("lightning.pytorch.trainer.trainer.Trainer", "fer_lightning.sweep.callback.StudyCallback")
WHITELIST = (*(f"{name}.*" for name in (*OWN, *CLASSES, *USERS)), TRAINER, *RESOLVED)


def find_target(key, name):
    """The class or function that `name` leads to. ConfigError where a config may not name it, or where there is none."""
    if not (name == TRAINER or _within(name, (*OWN, *CLASSES, *USERS))):
        raise ConfigError(_refusal(key, name))
    try:
        found = get_object(name)
    except Exception as error:
        raise ConfigError(f"{key}._target_={name} cannot be imported: {error}") from error
    if not (name == TRAINER or _is_allowed(found)):
        raise ConfigError(_refusal(key, name))
    return found


def _within(name, places):
    return isinstance(name, str) and any(name.startswith(f"{place}.") for place in places)


def _is_allowed(found):
    """Whether it is a public class or function at the top of a module that a config may name."""
    if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__qualname__.startswith("_"):
        return False
    # A class can say that it is from anywhere: it must also be found there.
    if getattr(sys.modules.get(found.__module__), found.__qualname__, None) is not found:
        return False
    place = f"{found.__module__}."
    return _within(place, (*OWN, *USERS)) or (inspect.isclass(found) and _within(place, CLASSES))


def _refusal(key, name):
    return (
        f"{key}._target_={name} is refused: a config may name classes of torch.nn and torch.optim, Lightning's Trainer, strategies and "
        f"plugins, and what fer_lightning builds configs from. For a package of your own, set {VARIABLE}=NAME in the environment."
    )
