"""What a `_target_` in a config may name. Hydra calls whatever it names, and configs come from other people.

A name is first checked as text, before anything is imported, because importing a module runs it. The object that it leads to is then
checked by where it is defined, because `torch.nn.modules.module.torch.load` also begins with torch.nn.
"""

import inspect
import logging
import os
import pkgutil
import re
import sys
from functools import cache
from importlib import import_module

from hydra.utils import get_object

from fer_lightning import __version__
from fer_lightning.process.errors import ConfigError

# What may stand at each place of a config (* is one word, ** any): modules, whose public classes and functions may be named, or single
# functions. Of other packages only classes that do what is configured: beside their functions lie torch.hub and serialization.
TRAINER = "lightning.Trainer"
CLASSES = ("torch.nn", "torch.optim", "lightning.pytorch.strategies", "lightning.pytorch.plugins", "lightning.fabric.plugins")
_OPTIM = ("fer_lightning.optim", "torch.optim")
PLACES = {
    "data": tuple(f"fer_lightning.data.{name}" for name in ("fer2013.read", "image_folder.read_image_folder", "synthetic.draw")),
    "protocol": ("fer_lightning.data.protocols",),
    "augment": ("fer_lightning.transforms.augment",),
    "evaluation": ("fer_lightning.transforms.views",),
    "backbone": ("fer_lightning.model.backbones",),
    "backbone.**": ("torch.nn",),
    "head.**": ("torch.nn",),
    "loss": ("fer_lightning.model.losses",),
    **dict.fromkeys(("optimizer", "scheduler", "phases.*.optimizer", "phases.*.scheduler"), _OPTIM),
    "trainer": (TRAINER,),
    "trainer.**": CLASSES[2:],
    "logger.*": tuple(f"fer_lightning.loggers.mirrors.{name}" for name in ("wandb", "tensorboard", "mlflow")),
}
# Of our own modules, those that hold what a config builds. Functions of the others write files.
OWN = (
    *(f"fer_lightning.data.{name}" for name in ("fer2013", "image_folder", "protocols", "synthetic")),
    *(f"fer_lightning.{name}" for name in ("loggers.mirrors", "model.backbones", "model.losses", "optim")),
    *(f"fer_lightning.{name}" for name in ("transforms.augment", "transforms.views")),
)

# Names of the user's own packages: my_backbones,other. Read once, at the start, so that a config cannot set it (hydra.job.env_set).
VARIABLE = "FER_LIGHTNING_PACKAGES"
USERS = tuple(filter(None, os.environ.get(VARIABLE, "").replace(" ", "").split(",")))

# Hydra would print what it raises.
logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)

# For `hydra.main(execution_whitelist=)`, new in Hydra 1.4.
RESOLVED = ("lightning.pytorch.trainer.trainer.Trainer", "fer_lightning.sweep.callback.StudyCallback")
WHITELIST = (*(f"{name}.*" for name in (*OWN, *CLASSES, *USERS)), TRAINER, *RESOLVED)


def find_target(key, name):
    """The class or function that `name` leads to. ConfigError if the config may not name it at `key`, or if there is none."""
    places = (*USERS, *(module for place, modules in PLACES.items() if _matches(key, place) for module in modules))
    if not (isinstance(name, str) and _within(name, places)):
        raise ConfigError(_refusal(key, name))
    try:
        found = get_object(name)
    except Exception as error:
        raise ConfigError(f"{key}._target_={name} cannot be imported: {_reason(error)}.") from error
    if not (name == TRAINER or (_is_allowed(found) and _within(f"{found.__module__}.{found.__qualname__}", places))):
        raise ConfigError(_refusal(key, name))
    return found


@cache
def own_names():
    """{name: where it is defined} of all classes and functions of fer_lightning that a config may name."""
    modules = [import_module(place) for place in OWN]
    for package in [module for module in modules if hasattr(module, "__path__")]:
        modules += [import_module(found.name) for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    defined = [c for module in modules for c in vars(module).values() if getattr(c, "__module__", None) == module.__name__]
    return {c.__name__: f"{c.__module__}.{c.__name__}" for c in defined if _is_allowed(c)}


def _matches(key, place):
    pattern = re.escape(place).replace(r"\*\*", ".+").replace(r"\*", "[^.]+")
    return re.fullmatch(pattern, key) is not None


def _within(name, places):
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _reason(error):
    """The error that an import began with, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".")


def _is_allowed(found):
    """Whether it is a public class or function at the top level of a module that a config may name."""
    if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__qualname__.startswith("_"):
        return False
    # A class can claim any module as its own, so it must also be found there.
    if getattr(sys.modules.get(found.__module__), found.__qualname__, None) is not found:
        return False
    return _within(found.__module__, (*OWN, *USERS)) or (inspect.isclass(found) and _within(found.__module__, CLASSES))


def _refusal(key, name):
    refused = f"{key}._target_={name} is refused: "
    homes = [place for place, modules in PLACES.items() if isinstance(name, str) and _within(name, modules)]
    if homes and not any(_matches(key, home) for home in homes):
        return f"{refused}a config may name it only at {' or '.join(homes)}."
    if isinstance(name, str) and name.startswith("fer_lightning."):
        return (
            f"{refused}fer_lightning {__version__} builds nothing of this name from a config, only what these modules define: "
            f"{', '.join(OWN)}."
        )
    return (
        f"{refused}a config may name classes of torch.nn and torch.optim, Lightning's Trainer, strategies and plugins, and what "
        f"fer_lightning builds from configs. For your own package, set {VARIABLE}=NAME in the environment."
    )
