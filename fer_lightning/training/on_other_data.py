"""The scores of a finished run on other data than its own, or on another part of its own."""

import time
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from fer_lightning.analysis.statistics.descriptive import wilson_interval
from fer_lightning.config import guarded_loading, schema  # noqa: F401  (check what Hydra loads; store the schema)
from fer_lightning.config.checks import check_config
from fer_lightning.config.groups import CONF
from fer_lightning.config.identity import digest
from fer_lightning.config.targets import build, check_targets
from fer_lightning.data.faces import NO_LABEL, check_faces, classes_of
from fer_lightning.data.folder_reader import CLASS_NAMES
from fer_lightning.data.image_folder import renamed
from fer_lightning.data.image_layouts import PARTS
from fer_lightning.data.twins import image_ids
from fer_lightning.model.metrics import score_parts
from fer_lightning.model.precision import full_name
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable
from fer_lightning.runs.evaluations import evaluation_file, write_evaluation
from fer_lightning.runs.finished_run import read_record
from fer_lightning.training.build import check_crops
from fer_lightning.training.environment import environment
from fer_lightning.training.restore import restore_data, restore_module
from fer_lightning.training.timing import LOW

RESAMPLES = 2000


def read_data(words, size):
    """The Faces that the settings `words`, data=NAME and data.KEY=VALUE, name. size: of the images that a run knows, in pixels"""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", words)
    if "size" in cfg.data and not any(word.startswith("data.size=") for word in words):
        cfg.data.size = size
    check_config(cfg)
    check_targets(cfg)
    return check_faces(build(cfg.data, "data"), cfg.data["_target_"])


def read_labels(word):
    """The mapping that labels={joy: happy, contempt: null} gives, read as Hydra reads a setting. `renamed` refuses what is none."""
    try:
        return OverridesParser.create().parse_override(word).value()
    except HydraException:
        return word.partition("=")[2]


def evaluate_on(folder, faces=None, labels=None, part=None):
    """Score a finished run and write the record into its folder. Returns (record, path of its file).

    faces:  of other data; None: the run's own
    labels: {class of the data: class of the run, or None: left out}
    part:   train | val | test | all; of other data the part that the data give, of a run's own that of its protocol. None: test, or all
            if other data have no test part
    UserError if the folder holds no finished run, or the classes do not match.
    """
    began = time.perf_counter()
    cfg, module = restore_module(folder)
    result = read_record(folder)
    own = faces is None
    own_faces, own_data = _own(folder, cfg, needed=own)
    faces = own_faces if own else faces
    check_crops(cfg, faces.size)
    classes = classes_of(result)
    labels_there, names = _in_classes_of(faces, classes, {} if labels is None else labels, Path(folder))
    part = part or ("test" if own or np.any(faces.usage == PARTS.index("test")) else "all")
    rows = np.arange(len(faces.labels)) if part == "all" else getattr(own_data.split, part) if own else _rows_of(faces, part)
    rows = rows[labels_there[rows] != NO_LABEL]
    if not len(rows):
        raise UserError(f"{faces.source} has no labelled image in its {part} part. Name another with --part.")
    about = {"fingerprint": faces.fingerprint, "part": part, "labels": names, "size": faces.size}
    identity = digest(about | {"protocol": own and result["protocol"]})
    check_writable(evaluation_file(folder, identity))
    precision = full_name(result["environment"].get("precision", "32-true"))
    module.views = build(cfg.evaluation, "evaluation").single
    logits = _logits(module, faces.pixels, rows, batch=cfg.eval_batch_size, precision=precision)
    clean = _clean(faces.pixels[rows], None if own and part != "test" else own_faces, own_data)
    true = torch.from_numpy(labels_there[rows])
    metrics = score_parts({"test": (logits, true, torch.from_numpy(rows))}, clean, classes)["test"]
    record = {
        "job": result["job"]["id"],
        "data": {
            "source": faces.source,
            "verdict": faces.verdict,
            "part": part,
            "fingerprint": faces.fingerprint,
            "labels": names,
            "counts": dict(zip(classes, np.bincount(true, minlength=len(classes)).tolist())),
        },
        "classes": list(classes),
        "metrics": metrics,
        "intervals": intervals(metrics),
        "environment": environment() | {"precision": precision},
        "seconds": round(time.perf_counter() - began, 3),
    }
    return record, write_evaluation(folder, identity, record)


def intervals(metrics):
    """{score: [low, high]} of 95 %, over images: Wilson's of the accuracies, and of macro F1 the percentiles of a bootstrap."""
    found = {}
    for name, n in (("accuracy", "n"), ("accuracy_clean", "n_clean")):
        if metrics.get(n) and metrics.get(name) is not None:
            found[name] = list(wilson_interval(round(metrics[name] * metrics[n]), metrics[n]))
    counts = np.array(metrics["confusion"])
    if counts.sum() == metrics["n"]:  # every image has an answer
        drawn = np.random.default_rng(0).multinomial(metrics["n"], counts.ravel() / metrics["n"], RESAMPLES).reshape(-1, *counts.shape)
        found["macro_f1"] = np.percentile([_macro_f1(table) for table in drawn], (2.5, 97.5)).tolist()
    return found


def _macro_f1(counts):
    """The mean over the classes that occur, as a label or an answer."""
    occurring = counts.sum(0) + counts.sum(1)
    return float((2 * np.diag(counts) / np.maximum(occurring, 1))[occurring > 0].mean())


def _own(folder, cfg, *, needed):
    """(faces, data) that the run was made with; (None, None) if they are not there and need not be."""
    try:
        return restore_data(folder, cfg)
    except UserError:
        if needed:
            raise
        return None, None


def _in_classes_of(faces, classes, labels, folder):
    """(labels (N,) as indices into the classes of a run, NO_LABEL for an image that is left out; {class of the data: class of the run})."""
    names = renamed(faces.classes, labels, "labels", classes)
    strangers = [name for name in names if names[name] not in classes]
    if strangers:
        alike = {known.casefold(): known for known in classes} | {name: classes[c] for name, c in _synonyms(classes).items()}
        map_ = ", ".join(f"{name}: {alike.get(name.casefold(), 'null')}" for name in strangers[:9])
        raise UserError(
            f"{folder} does not know the classes {', '.join(names[name] for name in strangers[:9])} of {faces.source}; it knows "
            f"{', '.join(classes[:12])}. Say what they become (null: left out), such as 'labels={{{map_}}}'."
        )
    index = np.array([classes.index(names[name]) if name in names else NO_LABEL for name in (*faces.classes, None)])
    return index[faces.labels], names


def _synonyms(classes):
    """{other name of one of FER-2013's classes: its index in `classes`}, such as anger for angry."""
    known = {c: name for name, c in reversed(CLASS_NAMES.items())}
    return {name: classes.index(known[c]) for name, c in CLASS_NAMES.items() if known[c] in classes}


def _rows_of(faces, part):
    return np.flatnonzero(faces.usage == PARTS.index(part))


@torch.inference_mode()
def _logits(module, pixels, rows, *, batch, precision):
    """Logits (n, C) of the images `rows`, on the device that is there, in the precision of the run."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device)
    with torch.autocast(device.type, LOW.get(precision), enabled=precision in LOW):
        batches = np.split(rows, range(batch, len(rows), batch))
        return torch.cat([module.logits(torch.from_numpy(pixels[some]).to(device)).float().cpu() for some in batches])


def _clean(pixels, seen, data):
    """Which images (n, 1, S, S) have no identical twin among those that the run trained or selected on, (n,) bool; None if not known."""
    if seen is None or seen.size != pixels.shape[-1]:
        return None
    used = np.concatenate([data.split.train, data.split.val])
    ids = image_ids(np.concatenate([seen.pixels[used], pixels]))
    return torch.from_numpy(~np.isin(ids[len(used) :], ids[: len(used)]))
