"""Each measure of stability on series whose answer is known; the label that a run's measures give."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.stability import spikes
from fer_lightning.stability.measures import (
    GUESSING,
    MEASURES,
    clip_share,
    diverged,
    drift,
    gap,
    gradient_trend,
    gradient_volatility,
    guessing,
    jitter,
    oscillation,
    run_stability,
    spike_rate,
)
from fer_lightning.stability.run_label import CUT_OFFS, provisional_label
from fer_lightning.stability.spikes import find_spikes, full_steps

STEPS = 1000


def noise(seed=0, n=STEPS):
    return np.random.default_rng(seed).normal(size=n)


def calm(n=STEPS):
    """Loss and gradient norm of a training without any event."""
    return 2 + 0.05 * noise(0, n), np.exp(0.1 * noise(1, n))


def test_planted_spikes_are_found_and_nothing_else():
    loss, norm = calm()
    loss[[300, 301, 700]] += 1.0
    norm[500] *= 20
    spike, _ = find_spikes(loss, norm, np.ones(len(loss), bool))
    assert np.flatnonzero(spike).tolist() == [300, 301, 500, 700]
    assert spike_rate(spike) == 4.0


def test_a_fall_is_no_spike():
    loss, norm = calm()
    loss[400:] -= 1.5
    norm[400:] /= 50
    assert not find_spikes(loss, norm, np.ones(len(loss), bool))[0].any()


def test_windows_are_the_128_steps_before_from_32_on():
    """Against pandas, step by step."""
    x = noise()
    median, mad = spikes._before(x, 0)
    rolling = pd.Series(x).shift(1).rolling(128, min_periods=32)
    assert median == pytest.approx(rolling.median().to_numpy(), nan_ok=True)
    assert np.isnan(median[:32]).all() and np.isfinite(median[32:]).all()
    for t in (32, 100, 128, 500, 999):
        before = x[max(0, t - 128) : t]
        assert mad[t] == pytest.approx(np.median(np.abs(before - np.median(before))))


@settings(max_examples=50, deadline=None)
@given(st.integers(40, 400), st.integers(0, 400), st.integers(1, 10**6))
def test_epoch_by_epoch_gives_the_same_spikes_as_all_at_once(n, since, seed):
    rng = np.random.default_rng(seed)
    loss, norm = rng.standard_cauchy(n), np.exp(rng.standard_cauchy(n).clip(-9, 9))
    full = rng.random(n) < 0.9
    at_once, part = find_spikes(loss, norm, full), find_spikes(loss, norm, full, min(since, n))
    for a, b in zip(at_once, part):
        np.testing.assert_array_equal(a[min(since, n) :], b)


@settings(max_examples=50, deadline=None)
@given(arrays(float, 200, elements=st.floats(allow_nan=True, allow_infinity=True, width=32)), st.floats(0.01, 100))
def test_no_series_breaks_the_search_for_spikes(loss, scale):
    spike, residual = find_spikes(loss, np.abs(loss) * scale, np.ones(200, bool))
    assert spike.shape == residual.shape == (200,)
    assert spike[np.isnan(loss)].all()  # a NaN is a spike


def test_nan_and_infinity_do_not_spoil_the_steps_after_them():
    loss, norm = calm()
    loss[400:420], norm[400:420] = np.nan, np.inf
    spike, residual = find_spikes(loss, norm, np.ones(len(loss), bool))
    assert np.flatnonzero(spike).tolist() == list(range(400, 420))
    assert np.isfinite(residual[420:]).all()


@pytest.mark.parametrize(
    ("lr", "steps"),
    [
        ([0.1] * 50, 0),
        (np.linspace(1, 0, 50), 0),
        (np.r_[np.linspace(0.1, 1, 10), np.linspace(0.9, 0, 40)], 10),  # one cycle
        (np.r_[np.linspace(0.1, 1, 10), np.ones(40)], 10),  # warm-up to a constant
        (np.r_[np.ones(5), np.linspace(1, 0, 20), np.ones(25)], 0),  # warm restarts
        (np.repeat([0.1, 0.5, 1.0, 0.1], 10), 21),  # by epochs
        (np.linspace(0, 1, 50), 50),  # still rising
        ([0.1], 0),
        ([], 0),
    ],
)
def test_warm_up_ends_where_the_rate_first_peaks(lr, steps):
    assert spikes.warmup_steps(np.asarray(lr)) == steps


def test_each_phase_has_its_own_warm_up_and_its_own_first_steps():
    rise_and_fall = np.r_[np.linspace(0.1, 1, 40), np.linspace(1, 0, 60)[1:]]
    phase = np.repeat([0, 1, 2], [99, 99, 60])
    count = spikes.counted_steps(phase, np.r_[rise_and_fall, rise_and_fall, np.ones(60)], np.ones(258, bool))
    assert np.flatnonzero(count).tolist() == [*range(40, 99), *range(139, 198), *range(230, 258)]
    assert len(spikes.counted_steps(np.zeros(0), np.zeros(0), np.zeros(0, bool))) == 0


@pytest.mark.parametrize(
    ("loss", "val_loss", "val_accuracy", "expected"),
    [
        ([1.0, 1.0], [1.8, 1.2, 1.0], [30, 50, 60], False),
        ([1.0, np.nan], [1.8, 1.2, 1.0], [30, 50, 60], True),
        ([1.0, np.inf], [1.8, 1.2, 1.0], [30, 50, 60], True),
        ([1.0, 1.95], [1.8, 1.2, 1.95], [30, 50, 60], True),  # both above ln 7
        ([1.0, 1.94], [1.8, 1.2, 1.95], [30, 50, 60], False),
        ([1.0, 1.95], [1.8, 1.2, 1.94], [30, 50, 60], False),
        ([2.0, 0.3], [1.8, 1.2, 9.9], [30, 50, 60], False),  # overfitting: too sure of itself
        ([1.0, 1.0], [1.8, 1.2, 1.5], [30, 50, 29.9], True),
        ([1.0, 1.0], [1.8, 1.2, np.nan], [30, 50, 60], True),
        ([1.0, 1.0], [2.5, 2.2], [10, 12], False),  # two epochs teach nothing
        ([1.0, 1.0], [], [], False),
    ],
)
def test_diverged(loss, val_loss, val_accuracy, expected):
    assert diverged(np.array(loss), np.ones(2), np.array(val_loss), np.array(val_accuracy)) is expected


def test_guessing_depends_on_the_classes():
    loss, accuracy = guessing([10, 10, 20])
    assert loss == pytest.approx(np.log(3)) and accuracy == 55
    assert guessing(OFFICIAL_COUNTS["Training"].values()) == pytest.approx(GUESSING, abs=0.15)  # 7,215 of 28,709 are happy
    ends = np.array([0.5, 1.2]), np.ones(2), np.array([1.0, 1.1, 1.2]), np.array([40.0, 50.0, 60.0])
    assert diverged(*ends, guess=(loss, accuracy)) and not diverged(*ends)


def test_the_short_last_batch_of_an_epoch_is_no_spike():
    """28,709 images in batches of 512: the last batch has 37, and its gradient is longer. Seen: a spike an epoch."""
    epochs, steps = 20, 57
    loss, norm = calm(epochs * steps)
    images = np.tile([512] * (steps - 1) + [37], epochs)
    norm[images == 37] *= 4
    assert find_spikes(loss, norm, np.ones(len(loss), bool))[0].sum() >= epochs - 2
    full = full_steps(images)
    spike, residual = find_spikes(loss, norm, full)
    assert not spike.any() and np.isnan(residual[images == 37]).all() and np.isfinite(residual[200:][full[200:]]).all()
    count = spikes.counted_steps(np.zeros(len(loss)), np.ones(len(loss)), full)
    assert count.sum() == full[32:].sum()


def test_an_infinite_gradient_is_divergence():
    assert diverged(np.ones(2), np.array([1, np.inf]), np.array([]), np.array([]))


@given(st.lists(st.floats(0.1, 3), min_size=3, max_size=30), st.integers(0, 29))
def test_fall_then_rise_does_not_oscillate(values, at):
    at = min(at, len(values))
    curve = sorted(values[:at], reverse=True) + sorted(values[at:])
    assert oscillation(np.array(curve)) == pytest.approx(0, abs=1e-9)


def test_zigzag_is_measured_in_net_travel():
    # Down by 1 in all; every second epoch 0.25 up and 0.25 down again: 4 times 0.5 on top.
    curve = np.array([2.0, 2.25, 1.75, 2.0, 1.5, 1.75, 1.25, 1.5, 1.0])
    assert np.abs(np.diff(curve)).sum() == pytest.approx(3.0)
    assert oscillation(curve) == pytest.approx((3.0 - 1.0) / 1.02)
    assert oscillation(np.array([1.0, 1.0])) is None
    assert oscillation(np.array([1.0, np.nan, 1.0])) is None


@given(st.integers(10, 80), st.floats(-2, 2), st.floats(0, 90))
def test_a_straight_line_does_not_jitter(epochs, slope, start):
    assert jitter(start + slope * np.arange(epochs)) == pytest.approx(0, abs=1e-6)


def test_jitter_is_the_residual_deviation_of_the_last_fifth():
    accuracy = 50 + noise(2, 40)
    accuracy[:32] += 1000 * noise(3, 32)  # long ago: does not count
    x = np.arange(8)
    slope, intercept = np.polyfit(x, accuracy[32:], 1)
    residual = accuracy[32:] - (intercept + slope * x)
    assert jitter(accuracy) == pytest.approx(math.sqrt((residual**2).sum() / 6))
    assert jitter(accuracy[:9]) is None


def test_volatility_is_the_robust_deviation_of_the_log_norm():
    _, residual = find_spikes(np.ones(20000), np.exp(3 + 0.4 * noise(4, 20000)), np.ones(20000, bool))
    assert gradient_volatility(residual) == pytest.approx(0.4, rel=0.03)
    assert gradient_volatility(residual[:360]) is None  # 328 numbers


def test_clipping_and_trend():
    norm = np.r_[np.full(500, 4.0), np.full(500, 1.0)]
    assert clip_share(norm, 2.0) == 0.5
    assert clip_share(norm, None) is None and clip_share(norm[:300], 2.0) is None
    assert gradient_trend(norm) == pytest.approx(-math.log(4))
    assert gradient_trend(norm[:300]) is None


def test_gap_and_drift_belong_to_the_best_epoch():
    val_loss = np.array([1.5, 1.1, 1.3])
    assert gap(np.array([50.0, 60.0, 90.0]), np.array([48.0, 55.0, 56.0]), val_loss) == 5.0
    assert drift(val_loss) == pytest.approx(0.2)
    assert drift(val_loss[:2]) is None
    assert gap(np.array([]), np.array([]), np.array([])) is None


def make_run(steps=STEPS, epochs=20, spikes=(), **changed):
    loss, norm = calm(steps)
    loss[list(spikes)] += 2
    table = {"phase": np.zeros(steps), "loss": loss, "grad_norm": norm, "lr": np.linspace(1, 0, steps)}
    table["full"] = np.ones(steps, bool)
    table["spike"], table["residual"] = find_spikes(loss, norm, table["full"])
    accuracy = np.linspace(40, 70, epochs)
    per_epoch = {"val_loss": np.linspace(1.8, 0.9, epochs), "val_accuracy": accuracy, "train_accuracy": accuracy + 4}
    return table, per_epoch | {"dead": np.full(epochs, 0.01), "dormant": np.zeros(epochs)} | changed


def test_summary_of_a_calm_run():
    measures = run_stability(*make_run(), clip_at=1.0)
    assert measures["label"] == "High" and measures["provisional"] is True and measures["div"] is False
    assert measures["spk"] == measures["osc"] == 0 and measures["gap"] == pytest.approx(4) and measures["dead"] == 0.01
    assert 0.4 < measures["clip"] < 0.6 and measures["drift"] == 0
    assert set(measures) == {*MEASURES, "label", "provisional"} - {"eos", "pred"}


def test_summary_of_a_short_run_says_what_it_does_not_know():
    measures = run_stability(*make_run(steps=100, epochs=2))
    assert {name for name, value in measures.items() if value is None} == {"spk", "osc", "jit", "gnv", "clip", "gtrend", "drift"}
    assert measures["label"] == "Undetermined"


def test_summary_of_a_run_without_validation():
    nothing = np.full(20, np.nan)
    measures = run_stability(*make_run(val_loss=nothing, val_accuracy=nothing, train_accuracy=nothing))
    assert [measures[name] for name in ("osc", "jit", "gap", "drift")] == [None] * 4 and measures["spk"] == 0


def test_sharpness_is_the_median_of_the_later_half():
    eos = np.full(20, np.nan)
    eos[[4, 9, 14, 19]] = 9.0, 8.0, 0.5, 0.7
    measures = run_stability(*make_run(eos=eos, pred=np.full(20, np.nan)))
    assert measures["eos"] == pytest.approx(0.6) and measures["pred"] is None


def test_a_single_spike_is_never_a_sign_of_low():
    """In the shortest run that has the measure at all."""
    one = np.eye(1, 834, dtype=bool)[0]
    assert CUT_OFFS["spk"][0] < spike_rate(one) <= CUT_OFFS["spk"][1] and spike_rate(one[:-1]) is None


BEST = {name: high for name, (high, _) in CUT_OFFS.items()}
WORST = {name: low + 0.01 for name, (_, low) in CUT_OFFS.items()}


@pytest.mark.parametrize(
    ("changed", "label"),
    [
        ({}, "High"),
        ({"spk": 0.81}, "Moderate"),
        ({"dead": 0.06}, "Moderate"),
        ({"spk": WORST["spk"]}, "Moderate"),
        ({"spk": WORST["spk"], "dead": WORST["dead"]}, "Low"),
        ({"osc": WORST["osc"], "jit": WORST["jit"]}, "Low"),
        ({"gnv": CUT_OFFS["gnv"][1], "jit": WORST["jit"]}, "Moderate"),  # at the cut is not above it
        ({"div": True}, "Low"),
        ({"jit": None}, "Undetermined"),
        ({"jit": None, "spk": WORST["spk"]}, "Undetermined"),
        ({"jit": None, "spk": WORST["spk"], "gnv": WORST["gnv"]}, "Low"),
        (dict.fromkeys(CUT_OFFS), "Undetermined"),
        (dict.fromkeys(CUT_OFFS) | {"div": True}, "Low"),
    ],
)
def test_provisional_label(changed, label):
    assert provisional_label({"div": False} | BEST | changed) == label


ANY_MEASURES = st.fixed_dictionaries({name: st.none() | st.floats(0, 5) for name in CUT_OFFS} | {"div": st.booleans()})


@given(ANY_MEASURES, st.sampled_from(list(CUT_OFFS)))
def test_a_worse_measure_never_makes_a_better_label(measures, name):
    order = ["Low", "Moderate", "High"]
    before = provisional_label(measures)
    if measures[name] is not None and before in order:
        after = provisional_label(measures | {name: measures[name] + 1})
        assert order.index(after) <= order.index(before)
