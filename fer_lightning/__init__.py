"""Facial expression recognition studies on FER-2013: PyTorch Lightning trains, Hydra composes.

    from fer_lightning import FERDataModule, FERModule, UserError, load_run, predict, read_fer2013

These names are what a program of your own may rely on (docs/library.md). Each is imported when it is first asked for, because torch takes
seconds and the commands do without it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_lightning.data.datamodule import FERDataModule
    from fer_lightning.data.fer2013 import read as read_fer2013
    from fer_lightning.process.errors import UserError
    from fer_lightning.shipping.library import FinishedRun, load_run, predict
    from fer_lightning.training.module import FERModule

__version__ = "0.1.0"
__all__ = ["FERDataModule", "FERModule", "FinishedRun", "UserError", "load_run", "predict", "read_fer2013"]

_HOMES = {
    "FERDataModule": "fer_lightning.data.datamodule:FERDataModule",
    "FERModule": "fer_lightning.training.module:FERModule",
    "FinishedRun": "fer_lightning.shipping.library:FinishedRun",
    "UserError": "fer_lightning.process.errors:UserError",
    "load_run": "fer_lightning.shipping.library:load_run",
    "predict": "fer_lightning.shipping.library:predict",
    "read_fer2013": "fer_lightning.data.fer2013:read",
}


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__():
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Importing a module sets it as an attribute of its package: the command fer_lightning/predict.py would hide the function `predict`."""

    def __setattr__(self, name, value):
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
