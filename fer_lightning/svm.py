"""A support vector machine on the deep features of a finished run (S0's VGG-Face + SVM, row S0-41).

    python -m fer_lightning.svm RUN [--C 0.01 0.1 1] [--kernel linear|rbf]

The features are the backbone's, of whole pictures without augmentation, each scaled to mean 0 and deviation 1 over the training part.
Validation chooses C; the test part is read once. Writes RUN/svm.json. Needs `pip install fer_lightning[svm]`.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

from fer_lightning.data.twins import without_twin
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file
from fer_lightning.training.restore import restore
from fer_lightning.transforms.prepare import prepare

# The time of an RBF machine grows with the square of the pictures, that of a linear one with their number.
KERNELS = ("linear", "rbf")


@torch.inference_mode()
def features(module, data, index):
    """(N, num_features) float32 of the pictures `index`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = module.backbone.to(device)
    rows = torch.as_tensor(index).split(data.eval_batch_size)
    pictures = (module.views.expand(data.pixels[part].to(device)) for part in rows)
    return np.concatenate([backbone(prepare(p, backbone.input_spec, module.channels_last)).float().cpu().numpy() for p in pictures])


def fit_svm(parts, costs, kernel):
    """The machine with the best validation accuracy among `costs`.

    parts: {train: (features (N, F), labels (N,)), val: ...}. Returns (machine, its C, {C: validation accuracy}).
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC, LinearSVC

    tried = {}
    for cost in costs:
        machine = LinearSVC(C=cost) if kernel == "linear" else SVC(C=cost)
        tried[cost] = make_pipeline(StandardScaler(), machine).fit(*parts["train"])
    accuracy = {cost: float(machine.score(*parts["val"])) for cost, machine in tried.items()}
    best = max(accuracy, key=accuracy.get)
    return tried[best], best, accuracy


def evaluate_svm(folder, costs, kernel):
    """Fit on a run's features, test once, write svm.json. Returns what it holds."""
    _, faces, data, module = restore(folder)
    if not data.selects or not len(data.split.test):
        raise UserError(f"{folder}: its protocol ({data.split.protocol}) keeps no validation or no test part, and the machine needs both.")
    index = {part: getattr(data.split, part) for part in ("train", "val", "test")}
    parts = {part: (features(module, data, rows), faces.labels[rows]) for part, rows in index.items()}
    machine, cost, tried = fit_svm(parts, costs, kernel)
    hits = machine.predict(parts["test"][0]) == parts["test"][1]
    clean = without_twin(faces.pixels, index["test"], np.concatenate([index["train"], index["val"]]))
    result = {
        "kernel": kernel,
        "C": cost,
        "val_accuracy": tried,
        "protocol": data.split.protocol,
        "num_features": parts["train"][0].shape[1],
        "test": {"accuracy": float(hits.mean()), "accuracy_clean": float(hits[clean].mean()), "n": len(hits), "n_clean": int(clean.sum())},
    }
    replace_file(Path(folder) / "svm.json", json.dumps(result, indent=1) + "\n")
    return result


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.svm", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("--C", type=float, nargs="+", default=[0.01, 0.1, 1.0], help="costs to choose from by validation")
    parser.add_argument("--kernel", choices=KERNELS, default="linear")
    arguments = parser.parse_args()
    try:
        result = evaluate_svm(arguments.run, arguments.C, arguments.kernel)
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: pip install fer_lightning[svm]")
    except UserError as error:
        sys.exit(str(error))
    test = result["test"]
    print(f"{result['kernel']} SVM, C {result['C']}: test accuracy {test['accuracy']:.4f}, clean {test['accuracy_clean']:.4f}")


if __name__ == "__main__":
    main()
