"""How well probabilities are calibrated, before and after temperature scaling (Guo et al. 2017), fitted on the validation part."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.wording import number
from fer_lightning.runs.predictions import part_of, probabilities

BINS = 15

# Temperatures that are tried: beyond these a network is certain of everything, or of nothing.
COLDEST, HOTTEST = 0.05, 20.0

TITLES = {"ece": "error, equal widths", "adaptive": "error, adaptive", "loss": "loss"}


@dataclass(frozen=True)
class Calibration:
    """Of the test part of one run. temperature: that with the smallest loss on the validation part
    before, after: {ece, adaptive, loss} with the temperature 1 and with that one
    curves: (2, BINS, 3), before and after: sums of images, of their top probabilities and of right answers in bins of equal width
    """

    temperature: float
    before: dict
    after: dict
    curves: np.ndarray


def calibrate(table):
    """The Calibration of a run from its predictions; None if it has no validation or no test part, or diverged."""
    logits, labels = {}, {}
    for part in ("val", "test"):
        images = part_of(table, part)
        if not len(images) or not np.isfinite(values := probabilities(images).astype(float)).all():
            return None
        # A probability that underflowed in the 32 bits in which it is stored has no logarithm.
        logits[part], labels[part] = np.log(np.maximum(values, np.finfo(np.float32).tiny)), images["label"].to_numpy()

    def loss(log_temperature):
        return _loss(logits["val"] / np.exp(log_temperature), labels["val"])

    bounds = np.log([COLDEST, HOTTEST])
    temperature = float(np.exp(scipy.optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-3}).x))
    scores, curves = zip(*(_scores(logits["test"] / t, labels["test"]) for t in (1.0, temperature)))
    return Calibration(temperature, *scores, np.stack(curves))


def _loss(logits, labels):
    return float(np.mean(scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]))


def _scores(logits, labels):
    """({ece, adaptive, loss}, (BINS, 3) curve)"""
    top = scipy.special.softmax(logits, axis=1).max(1)
    right = (logits.argmax(1) == labels).astype(float)
    place = np.minimum((top * BINS).astype(int), BINS - 1)
    curve = np.stack([np.bincount(place, weights, BINS) for weights in (np.ones_like(top), top, right)], 1)
    ece = np.abs(curve[:, 1] - curve[:, 2]).sum() / len(top)
    return {"ece": ece, "adaptive": adaptive_error(top, right), "loss": _loss(logits, labels)}, curve


def adaptive_error(top, right):
    """Calibration error with bins of equally many images (Nguyen & O'Connor 2015): equal widths leave most bins nearly empty."""
    order = np.argsort(top, kind="stable")
    return sum(abs(part.sum()) for part in np.array_split((top - right)[order], BINS)) / len(top)


def calibration_finding(design, calibrations):
    """(Finding, {cell: (2, BINS, 3) sum of its runs' curves}); (None, {}) if no run can be scaled. calibrations: {run: Calibration}"""
    rows, curves = [], {}
    for place, runs in design.done.groupby("cell")["name"]:
        found = [calibrations[name] for name in runs if name in calibrations]
        if not found:
            continue
        name = design.name(design.cells[place])
        curves[name] = sum(each.curves for each in found)
        row = {"cell": name, "seeds": str(len(found))}
        for when, side in (("", "before"), (", scaled", "after")):
            means = pd.DataFrame([getattr(each, side) for each in found]).mean()
            row |= {f"{title}{when}": number(means[key], 4) for key, title in TITLES.items()}
        rows.append(row | {"temperature": number(np.mean([each.temperature for each in found]))})
    if not rows:
        return None, {}
    text = (
        f"Calibration error of the most probable class on the test part, mean over seeds, in {BINS} bins: of equal width, and of equally "
        "many images (adaptive). Scaled: the logits of each run divided by the temperature that has the smallest loss on its "
        "validation part; the predicted classes stay the same. A temperature above 1 means that the network was too sure of itself.",
    )
    return Finding("Calibration", text, pd.DataFrame(rows)), curves
