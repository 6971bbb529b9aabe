"""Features of a finished run's frozen backbone into scikit-learn: what would a linear model make of them?

    python examples/features_to_sklearn.py RUN
"""

import sys

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_lightning import load_run


def features(module, pixels):
    with torch.inference_mode():
        return torch.cat([module.features(batch) for batch in pixels.split(512)]).numpy()


def fit(folder):
    """What scikit-learn says of the test part."""
    run = load_run(folder)
    data, module = run.data(), run.module()
    parts = {name: torch.from_numpy(getattr(data.split, name)) for name in ("train", "test")}
    x = {name: features(module, data.pixels[rows]) for name, rows in parts.items()}
    y = {name: data.labels[rows].numpy() for name, rows in parts.items()}
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced")).fit(x["train"], y["train"])
    names, classes = run.classes, range(len(run.classes))
    return classification_report(y["test"], model.predict(x["test"]), labels=classes, target_names=names, zero_division=0)


if __name__ == "__main__":
    print(fit(sys.argv[1]))
