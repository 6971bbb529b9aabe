"""Trained networks as functions from faces to probabilities: of runs, studies and exports, or the one that comes with this installation.

ONNX Runtime answers where an export lies; torch, which takes seconds to import, is imported only where there is none.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import time

import numpy as np

from fer_lightning.config.cell_names import cell_name
from fer_lightning.data.faces import SIZE, classes_of, size_of
from fer_lightning.process.errors import UserError
from fer_lightning.runs.layout import RESULT, run_folders
from fer_lightning.runs.result import read_result
from fer_lightning.runs.study_file import LEDGER
from fer_lightning.safety.untrusted_files import check_file
from fer_lightning.shipping.onnx_session import ONNX, faces_of, run_onnx, session

# What `export` wrote of the network that comes with this installation.
PACKAGED = Path(__file__).parent.parent / "weights"
EXPORT = (ONNX, "network.yaml")
LARGEST = 4_000_000_000  # bytes of an ONNX file, which may be anyone's; BEiT-Large has 1.2 GB


@dataclass(frozen=True)
class Network:
    """name:    what it is, in words
    classes: their names, (C,)
    answer:  faces (N, 1, S, S) uint8, N > 0, to probabilities (N, C)
    size:    S, in pixels
    """

    name: str
    classes: tuple[str, ...]
    answer: Callable[[np.ndarray], np.ndarray]
    size: int = SIZE


def is_network(folder: Path) -> bool:
    """Whether `load` takes it for a network: a run, even an unfinished one, an export or a study, or an ONNX file."""
    inside = (RESULT, LEDGER, ".hydra", *EXPORT)
    return folder.suffix == ".onnx" or (
        os.path.isdir(folder) and (any(os.path.exists(folder / name) for name in inside) or bool(run_folders(folder)))
    )


def load(folders: list[Path]) -> Network:
    """The network of runs, exports or studies: the mean of their probabilities. Of none: the one that comes with this installation.

    UserError for a folder that holds no network, or a damaged one, and for networks with different classes.
    """
    networks = [network for folder in map(Path, folders) for network in _members(folder)] if folders else [_packaged()]
    other = next((network for network in networks if network.classes != networks[0].classes), None)
    if other:
        raise UserError(f"{networks[0].name} knows {', '.join(networks[0].classes)}, and {other.name} {', '.join(other.classes)}: no mean.")
    other = next((network for network in networks if network.size != networks[0].size), None)
    if other:
        raise UserError(f"{networks[0].name} sees {networks[0].size} pixels a side, and {other.name} {other.size}: no mean.")
    return networks[0] if len(networks) == 1 else _mean(networks)


def _mean(networks):
    name = f"mean of {len(networks)} networks: {'; '.join(network.name for network in networks)}"

    def answer(faces):
        return np.mean([network.answer(faces) for network in networks], axis=0)

    return replace(networks[0], name=name, answer=answer)


def _packaged():
    if not any((PACKAGED / name).exists() for name in EXPORT):
        raise UserError("This installation has no packaged weights: give a run, as in `predict RUN photo.jpg`.")
    network = _exported(PACKAGED)
    how = network.name.rpartition(", ")[2]
    return replace(network, name=f"the weights that come with this installation, by {how}")


def _members(folder):
    """The networks of a folder or an ONNX file: one, or those of the best cell of a study."""
    if folder.suffix == ".onnx":
        return [_onnx(folder)[0]]
    if (folder / RESULT).exists():
        return [_of_run(folder)]
    if any((folder / name).exists() for name in EXPORT):
        return [_exported(folder)]
    if (folder / LEDGER).exists() or run_folders(folder):
        cell, runs = _best_cell(folder)
        mean = _mean([_of_run(run) for run in runs]) if len(runs) > 1 else _of_run(runs[0])
        return [replace(mean, name=f"{folder}, its best cell by validation, {cell}: {mean.name}")]
    raise UserError(f"{folder} holds no finished run: no {RESULT}.")


def _best_cell(folder):
    """(the cell of a study with the best mean validation accuracy, in words; the folders of its finished runs)"""
    from fer_lightning.runs.job_states import read_study
    from fer_lightning.runs.study_progress import best_cell

    jobs = [job for job in read_study(folder, time()).jobs if job.status == "done" and job.val_accuracy is not None]
    best = best_cell(jobs)
    if best:
        cell, chosen = best["cell"], [job for job in jobs if job.cell == best["cell"]]
        return f"{cell_name(cell)} ({best['val_accuracy']:.2%})", [folder / job.name for job in chosen]
    if not jobs:
        raise UserError(f"{folder} has no finished run with a validation accuracy to choose by: name a run.")
    job = max(jobs, key=lambda job: job.val_accuracy)  # runs gathered by hand are no cells
    return f"{job.name} ({job.val_accuracy:.2%})", [folder / job.name]


def _of_run(folder):
    """The network of a finished run: of its export, if that is of the same job, else restored from its checkpoint."""
    try:
        result = read_result(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / RESULT} cannot be read: {error}") from error
    onnx = folder / "export" / ONNX
    if onnx.exists() and find_spec("onnxruntime"):
        network, about = _onnx(onnx)
        if about.get("job") == (result.get("job") or {}).get("id"):
            return replace(network, name=f"{folder}, {network.name.rpartition(', ')[2]}")
    from fer_lightning.training.inference import answering

    return Network(f"{folder}, torch", classes_of(result), partial(finite, folder, answering(folder)), size_of(result))


def _exported(folder):
    """The network of an export: of its ONNX file if ONNX Runtime is installed, else of its safetensors."""
    if (folder / ONNX).exists() and (find_spec("onnxruntime") or not (folder / "network.yaml").exists()):
        return _onnx(folder / ONNX)[0]
    from fer_lightning.shipping.weights_folder import read_network
    from fer_lightning.shipping.whole_network import run_torch

    network, about = read_network(folder)
    return Network(f"{folder}, torch", classes_of(about), partial(finite, folder, partial(run_torch, network)), size_of(about))


def _onnx(path):
    """(network, {key: text} that the file says of itself) of an ONNX file, which may come from anyone."""
    if not find_spec("onnxruntime"):
        raise UserError(f"{path} needs ONNX Runtime: pip install 'fer_lightning[photos]'")
    if not path.exists():
        raise UserError(f"{path}: there is no such file.")
    try:
        check_file(path, LARGEST)
        running = session(path)
        about = running.get_modelmeta().custom_metadata_map
    except Exception as error:  # ONNX Runtime has an exception for each of its statuses
        raise UserError(f"{path} is damaged, or no ONNX file: {' '.join(str(error).split())[:200]}") from error
    classes = _names(about.get("classes", ""))
    size, count = faces_of(running) or (0, 0)
    if not count or count != len(classes):
        raise UserError(f"{path} is no network from faces to probabilities with named classes, as `export` writes it.")
    return Network(f"{path}, ONNX Runtime", classes, partial(finite, path.parent, partial(run_onnx, running)), size), about


def _names(text):
    """The names of classes that an ONNX file lists; none if it does not."""
    try:
        names = json.loads(text)
    except ValueError:
        return ()
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def finite(name, answer, faces):
    """What `answer` says of faces. UserError, which names the network, if some of it is no number."""
    values = answer(faces)
    if not np.isfinite(values).all():
        raise UserError(f"{name} has no answer: its probabilities are NaN, because its training diverged. Name another run.")
    return values
