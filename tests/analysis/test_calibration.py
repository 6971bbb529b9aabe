"""Calibration and temperature scaling, against torchmetrics and networks whose temperature is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from torchmetrics.functional.classification import multiclass_calibration_error

from fer_lightning.analysis.page.study_figures import reliability
from fer_lightning.analysis.statistics.calibration import BINS, adaptive_error, calibrate
from fer_lightning.model.metrics import score


def predictions(temperature, images=4000, seed=0):
    """Predictions whose labels are drawn from softmax(logits), and which give softmax(logits x temperature) instead: too sure above 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (2 * images, 7))
    labels = (rng.random((len(logits), 1)) > softmax(logits, 1).cumsum(1)).sum(1).clip(max=6)
    frame = pd.DataFrame(softmax(logits * temperature, 1).astype(np.float32), columns=[f"p{c}" for c in range(7)])
    return frame.assign(row=np.arange(len(frame)), split=np.repeat(["val", "test"], images), label=labels)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_a_network_is_found_on_validation_and_mends_the_test_part(temperature):
    found = calibrate(predictions(temperature))
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    assert found.after["ece"] < 0.03 and found.after["adaptive"] < 0.03 and found.after["loss"] <= found.before["loss"] + 1e-3
    if temperature != 1:
        assert found.before["ece"] > 0.1 and found.before["adaptive"] > 0.1


def test_errors_are_torchmetrics_and_the_metrics_of_a_run():
    frame = predictions(2.0)
    test = frame[frame["split"] == "test"]
    p, labels = torch.tensor(test[[f"p{c}" for c in range(7)]].to_numpy()), torch.tensor(test["label"].to_numpy())
    found, scores = calibrate(frame), score(p.log(), labels)
    assert found.before["ece"] == pytest.approx(multiclass_calibration_error(p, labels, 7, n_bins=BINS).item(), abs=1e-5)
    assert scores["ece"] == pytest.approx(found.before["ece"], abs=1e-5)
    assert scores["ece_adaptive"] == pytest.approx(found.before["adaptive"], abs=1e-5)
    assert found.curves[0].sum(0) == pytest.approx([len(test), p.max(1).values.sum().item(), 4000 * scores["accuracy"]], rel=1e-5)


def test_adaptive_error_by_hand():
    # 15 images, one a bin: each is off by the distance of its probability from what it was.
    top, right = np.linspace(0.3, 1, 15), np.arange(15) % 2
    assert adaptive_error(top, right) == pytest.approx(np.abs(top - right).mean())


def test_a_run_without_a_part_or_with_nan_has_no_calibration():
    frame = predictions(1.0, images=50)
    assert calibrate(frame[frame["split"] == "test"]) is None and calibrate(frame[frame["split"] == "val"]) is None
    frame.loc[3, "p0"] = np.nan
    assert calibrate(frame) is None


def test_the_reliability_diagram_has_both_and_the_line():
    chart = reliability(("gelu-bn", calibrate(predictions(2.5)).curves))
    assert [series.name for series in chart.series] == ["calibrated", "as trained", "scaled by temperature"]
    before, after = (np.abs(np.subtract(series.x, series.y)).mean() for series in chart.series[1:])
    assert after < before and reliability(None) is None
