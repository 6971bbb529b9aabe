"""How much higher accuracy is on all test images than on those without a twin among the images that were trained or selected on."""

import pandas as pd
from details import STUDIES
from records import HERE, kept, measured

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.wording import percent
from fer_lightning.data.faces import CLASSES
from fer_lightning.runs.predictions import part_of, predicted, predictions_file, probabilities, read_predictions

OFFICIAL = "frozen_head_grid"  # a study with the official protocol

LEAK = (
    "Test accuracy on all images less that on the clean ones, those without an identical image in training or validation: one view, the "
    "mean over all runs of a study, in points. Twins are no sample of the images (surprise is {} % of them and {} % of the others), so a "
    "part of it is their mix of classes: with equal classes, each class of the clean images weighs as much as among all. Least and most: "
    "the means of cells. A cell that leaks more than another one is ranked too high on all images."
)


def leaks():
    rows = []
    for name in kept(STUDIES):
        study, _ = measured(name)
        done = study.done
        if done["test_accuracy_clean"].notna().any():
            every, clean = (100 * done[f"test_accuracy{suffix}"].astype(float) for suffix in ("", "_clean"))
            first = study.results[done["name"].iloc[0]]["metrics"]["test"]
            row = {"study": f"`{name}`", "runs": len(done), "twins %": percent(1 - first["n_clean"] / first["n"])}
            row |= {"test %": f"{every.mean():.2f}", "clean %": f"{clean.mean():.2f}", "all less clean": f"{(every - clean).mean():.2f}"}
            equal = [100 * gap for run in done["name"] if (gap := with_equal_classes(study.folder / run)) is not None]
            row["with equal classes"] = f"{sum(equal) / len(equal):.2f}" if equal else ""
            rows.append(row | dict(zip(("least", "most"), _ends(study, every - clean), strict=True)))
    return Finding("The leak", (LEAK.format(*surprised()),), pd.DataFrame(rows))


def surprised():
    """The share of surprise among the twins and among the clean images of the official test part, in %."""
    run = next((HERE / OFFICIAL).glob("*/predictions.parquet")).parent
    part = part_of(read_predictions(run), "test")
    surprise, clean = part["label"] == CLASSES.index("surprise"), part["clean"].astype(bool)
    return [f"{100 * surprise[those].mean():.0f}" for those in (~clean, clean)]


def with_equal_classes(run):
    """Accuracy on all test images less that on the clean ones, these with the classes of all; None without predictions."""
    if not predictions_file(run).exists():
        return None
    part = part_of(read_predictions(run), "test")
    right = pd.Series(predicted(probabilities(part)) == part["label"].to_numpy())
    labels, clean = part["label"].reset_index(drop=True), part["clean"].to_numpy(bool)
    recalls = right[clean].groupby(labels[clean]).mean()
    return right.mean() - (recalls * labels.value_counts(normalize=True)).sum()


def _ends(study, gaps):
    """("cell 1.20", "cell 2.30"), the cells with the smallest and the largest mean; blank if there is one cell."""
    if len(study.cells) < 2:
        return "", ""
    means = gaps.groupby(pd.Series(study.labels, study.jobs.index).loc[gaps.index]).mean()
    return tuple(f"{cell} {means[cell]:.2f}" for cell in (means.idxmin(), means.idxmax()))
