"""A finished run for a user's own program: `load_run` and `predict` of `fer_lightning`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from omegaconf import DictConfig

from fer_lightning.config.targets import build, follow_moves
from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import SIZE, classes_of
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.finished_run import read_run
from fer_lightning.runs.layout import METRICS
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.shipping.networks import finite, load
from fer_lightning.shipping.whole_network import WholeNetwork, run_torch
from fer_lightning.training.module import FERModule
from fer_lightning.training.restore import restore_data, restore_module


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished run, or an ensemble, which has neither config nor metrics nor weights.

    folder:      where it is
    result:      its result.json: job, protocol, data, model, environment, metrics, time
    predictions: its predictions.parquet: row, split, label, clean, and the probability of each class, p0, p1, ...
    """

    folder: Path
    result: dict
    predictions: pd.DataFrame

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return classes_of(self.result)

    @cached_property
    def config(self) -> DictConfig:
        """What it was trained with, with its references. UserError if it has none or would show a secret of yours."""
        return read_config(self.folder)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Its metrics.csv: a row an epoch, whose number is the index. UserError if there is none or it is damaged."""
        try:
            return pd.DataFrame(read_metrics(self.folder)).set_index("epoch")
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{self.folder / METRICS} cannot be read: {error}") from error

    def module(self) -> FERModule:
        """A FERModule with the weights that were tested, in eval mode. The data are not needed."""
        return restore_module(self.folder)[1]

    def network(self) -> WholeNetwork:
        """Faces (B, 1, 48, 48) uint8 to probabilities (B, classes), as the run was evaluated: views, resizing and softmax are in it."""
        cfg, module = restore_module(self.folder)
        return WholeNetwork(module.backbone, module.head, build(cfg.evaluation, "evaluation"))

    def data(self) -> FERDataModule:
        """The images of the run, split as it split them. UserError if they are not there any more."""
        return restore_data(self.folder, follow_moves(self.config))[1]


def load_run(folder: str | PathLike[str]) -> FinishedRun:
    """The finished run in a folder, which may come from anyone: reading it runs nothing.

    UserError if there is none, if it is not finished, or if it is damaged.
    """
    if not isinstance(folder, str | PathLike):
        raise UserError(f"A run is a folder; found: {type(folder).__name__}.")
    run = read_run(folder)
    return FinishedRun(run.folder, run.result, run.table)


def predict(
    run: str | PathLike[str] | FinishedRun | WholeNetwork,
    pictures: str | PathLike[str] | Sequence[str | PathLike[str]] | NDArray[np.uint8],
) -> NDArray[np.float32]:
    """The probability of each class, (N, classes), in pictures of one face each, cut out square and tight as in FER-2013.

    run:      a folder as the command `predict` takes it (a run, an export, a study for its best cell), what `load_run` gives, or its
              `network()`, which is worth keeping if you ask more than once
    pictures: a picture file, several, or grey images (N, 48, 48) or (N, 1, 48, 48) uint8; of the size that a run on your own data has

    UserError for what is no finished run, for a file that is no picture, and for a run that diverged.
    """
    if not isinstance(run, str | PathLike | FinishedRun | WholeNetwork):
        raise UserError(f"A run is a folder, what load_run gives, or its network(); found: {type(run).__name__}.")
    if not isinstance(run, WholeNetwork):
        network = load([run.folder if isinstance(run, FinishedRun) else Path(run)])
        return network.answer(_faces(pictures, network.size))
    return finite("This run", partial(run_torch, run), _faces(pictures, SIZE))


def _faces(pictures, size):
    if isinstance(pictures, np.ndarray):
        faces = pictures[:, None] if pictures.ndim == 3 else pictures
        if faces.dtype != np.uint8 or faces.shape[1:] != (1, size, size) or not len(faces):
            raise UserError(f"Images must be a NumPy array, uint8 (N, {size}, {size}); found: {pictures.dtype} {pictures.shape}.")
        return np.ascontiguousarray(faces)  # torch takes no array that is read backwards
    paths = [pictures] if isinstance(pictures, str | PathLike) or not isinstance(pictures, Iterable) else list(pictures)
    other = next((type(path).__name__ for path in paths if not isinstance(path, str | PathLike)), None)
    if other:
        raise UserError(f"Pictures are files, or one NumPy array, uint8 (N, {size}, {size}); found: {type(pictures).__name__} of {other}.")
    if not paths:
        raise UserError("There is no picture to predict.")
    return np.stack([read_picture(path, size) for path in paths])
