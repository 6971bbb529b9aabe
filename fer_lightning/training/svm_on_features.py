"""A support vector machine on the deep features of a finished run, instead of its head (S0-41)."""

import json
from pathlib import Path

import numpy as np

from fer_lightning.data.twins import clean_test
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, replace_file
from fer_lightning.training.inference import features
from fer_lightning.training.restore import restore

FILE = "svm.json"


def fit_svm(parts, costs, kernel):
    """The machine with the best validation accuracy among `costs`, on features scaled to mean 0 and deviation 1 over the training part.

    parts:  {train: (features (N, F), labels (N,)), val: ...}
    kernel: linear | rbf
    Returns (machine, its C, {C: validation accuracy}). ModuleNotFoundError without scikit-learn.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC

    machines = {}
    for cost in costs:
        machine = LinearSVC(C=cost) if kernel == "linear" else SVC(C=cost)
        machines[cost] = make_pipeline(StandardScaler(), machine).fit(*parts["train"])
    accuracy = {cost: float(machine.score(*parts["val"])) for cost, machine in machines.items()}
    best = max(accuracy, key=accuracy.get)
    return machines[best], best, accuracy


def evaluate_svm(folder, costs, kernel):
    """Fit a machine on the features of a run, score it once on the test part, write svm.json. Returns the content of svm.json.

    UserError without a finished run, or if its protocol has no validation or no test part.
    """
    path = Path(folder) / FILE
    _, faces, data, module = restore(folder)
    check_writable(path)
    if not data.selects or not len(data.split.test):
        raise UserError(f"{folder}: its protocol ({data.split.protocol}) has no validation or no test part, and the machine needs both.")
    if len(np.unique(faces.labels[data.split.train])) < 2:
        raise UserError(f"{folder}: its training images are all of one class, and the machine needs two.")
    index = {part: getattr(data.split, part) for part in ("train", "val", "test")}
    parts = {part: (features(module, data, rows), faces.labels[rows]) for part, rows in index.items()}
    machine, cost, tried = fit_svm(parts, costs, kernel)
    hits = machine.predict(parts["test"][0]) == parts["test"][1]
    clean = clean_test(faces.pixels, data.split)
    accuracy_clean = float(hits[clean].mean()) if clean.any() else None
    result = {
        "kernel": kernel,
        "C": cost,
        "val_accuracy": tried,
        "protocol": data.split.protocol,
        "num_features": parts["train"][0].shape[1],
        "test": {"accuracy": float(hits.mean()), "accuracy_clean": accuracy_clean, "n": len(hits), "n_clean": int(clean.sum())},
    }
    replace_file(path, json.dumps(result, indent=1) + "\n")
    return result
