"""Comparisons paired by seed: t tests, equivalence, Holm, intervals over seeds and images, wins and almost stochastic order."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from fer_lightning.analysis.statistics.against_reference import almost_stochastic_order, share_of_wins, violation_ratio
from fer_lightning.analysis.statistics.contrasts import Contrast, per_block
from fer_lightning.analysis.statistics.paired_tests import contrast_tests, holm, paired_tests
from fer_lightning.analysis.statistics.two_way_variance import two_way_variance
from fer_lightning.config.registered_analysis import Analysis


def test_paired_tests_are_scipys_and_statsmodels():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.73, 0.005, (2, 8))
    (row,) = paired_tests((a - b)[:, None], 0.05, 0.005).to_dict("records")
    expected = stats.ttest_rel(a, b)
    assert row["p"] == row["p_holm"] == pytest.approx(expected.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert row["equivalence_p"] == pytest.approx(ttost_paired(a, b, -0.005, 0.005)[0])


def test_equivalence_by_hand():
    # Ten differences of mean 0.1 and standard deviation 1 against a margin of 1: t = -0.9 sqrt(10) on 9 degrees of freedom.
    d = np.arange(10) - 4.5
    d = 0.1 + d / d.std(ddof=1)
    (p,) = paired_tests(d[:, None], 0.05, 1.0)["equivalence_p"]
    assert p == pytest.approx(stats.t.cdf(-0.9 * np.sqrt(10), 9)) == pytest.approx(0.0096, abs=1e-5)


def test_holm_by_hand_and_missing_tests_do_not_count():
    # Four tests: 4 x 0.005, 3 x 0.01, 2 x 0.03, then never less than before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, np.nan, 0.03]) == pytest.approx([0.02, np.nan, 0.03], nan_ok=True)
    assert np.isnan(holm([np.nan])).all() and len(holm([])) == 0


def test_holm_is_statsmodels():
    p = [0.5, 0.001, 0.02, 0.02, 0.9, 1.0, 0.011, 0.0]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("tests", [1, 2, 4, 7])
def test_intervals_agree_with_holms_decision(tests):
    rng = np.random.default_rng(0)
    rejected = []
    for _ in range(200):
        values = rng.normal(rng.choice([0, 0.004, 0.007], (1, tests)), 0.005, (6, tests))
        frame = paired_tests(values, 0.05, 0.005, rng.choice([0, 1e-6, np.nan], tests))
        outside = (frame["low"] > 0) | (frame["high"] < 0)
        assert outside.equals(frame["p_holm"] < 0.05)
        assert frame["estimate"].to_numpy() == pytest.approx((frame["low"] + frame["high"]) / 2)
        rejected.append(int(outside.sum()))
    assert len(set(rejected)) > min(tests, 4)  # many a step of Holm's was tried


def test_intervals_are_simultaneous():
    """Of four differences that are not 0, all lie in their intervals in 95 % of studies, whatever Holm's test rejects."""
    rng = np.random.default_rng(1)
    truth = np.array([0.002, 0.004, 0.006, 0.02])
    held = []
    for _ in range(1500):
        frame = paired_tests(rng.normal(truth, 0.005, (8, 4)), 0.05, 0.005)
        held.append(((frame["low"] < truth) & (truth < frame["high"])).all())
    assert np.mean(held) > 0.935


def test_too_few_or_equal_blocks_have_an_estimate_and_no_test():
    frame = paired_tests(np.array([[0.01, 0.02], [0.01, np.nan]]), 0.05, 0.005)
    assert frame["estimate"].tolist() == [0.01, 0.02] and frame["n"].tolist() == [2, 1]
    assert frame[["p", "p_holm", "equivalence_p", "low"]].isna().all(axis=None)


def test_a_contrast_needs_only_its_own_cells():
    table = np.array([[0.5, 0.4, np.nan], [0.6, np.nan, 0.1]])
    values = per_block(table, [Contrast("x", np.array([1.0, -1, 0])), Contrast("y", np.array([1.0, 0, -1]))])
    assert values == pytest.approx(np.array([[0.1, np.nan], [np.nan, 0.5]]), nan_ok=True)


def contrast_of(rng, blocks, images, by_block, by_image, rest):
    """One contrast image by image, with known variance components (standard deviations)."""
    return rng.normal(0, by_block, (blocks, 1)) + rng.normal(0, by_image, images) + rng.normal(0, rest, (blocks, images))


@pytest.mark.parametrize("parts", [(0.1, 1.0, 1.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)])
def test_two_way_variance_is_that_of_the_mean(parts):
    rng = np.random.default_rng(1)
    blocks, images = 6, 80
    by_block, by_image, rest = parts
    truth = by_block**2 / blocks + by_image**2 / images + rest**2 / (blocks * images)
    found = np.mean([two_way_variance(contrast_of(rng, blocks, images, *parts)) for _ in range(600)], axis=0)
    assert found.sum() == pytest.approx(truth, rel=0.03)
    assert found[1] == pytest.approx(by_image**2 / images, abs=0.03 * truth)  # what more blocks do not take away


def test_the_interval_covers_other_seeds_and_images():
    """As one over seeds alone does not."""
    rng = np.random.default_rng(2)
    held, alone = [], []
    contrast = [Contrast("mean", np.array([1.0]))]
    for _ in range(250):
        right = contrast_of(rng, 10, 120, 0.02, 0.3, 1.0)[:, None].astype(np.float32)
        for seen, covered in ((right, held), (None, alone)):
            found = contrast_tests(right.mean(2), contrast, Analysis(), seen).iloc[0]
            covered.append(found["low"] <= 0 <= found["high"])
    assert 0.92 <= np.mean(held) <= 0.985
    assert np.mean(alone) < 0.9


def test_images_widen_an_interval_that_seeds_alone_would_have_narrow():
    rng = np.random.default_rng(3)
    chance = np.array([[0.9, 0.1], [0.2, 0.7]])[:, rng.integers(2, size=300)]  # each cell is sure of other images
    right = rng.random((6, 2, 300)) < chance
    table, contrast = right.mean(2), [Contrast("a over b", np.array([1.0, -1]))]
    seeds = contrast_tests(table, contrast, Analysis(sesoi=0.3)).iloc[0]
    both = contrast_tests(table, contrast, Analysis(sesoi=0.3), right).iloc[0]
    assert both["estimate"] == seeds["estimate"] and both["p"] > seeds["p"] and both["equivalence_p"] > seeds["equivalence_p"]
    assert both["high"] - both["low"] > 1.5 * (seeds["high"] - seeds["low"])


def test_the_standard_error_of_seeds_and_images_by_hand():
    """V_seeds + V_images - V_both, each from its sums of squares, and Student's t with the seeds' degrees of freedom."""
    rng = np.random.default_rng(4)
    right = rng.random((4, 2, 50)) < np.array([[0.8], [0.6]])
    d = right[:, 0].astype(float) - right[:, 1]
    seeds = d.mean(1).var(ddof=1) / 4
    images = d.mean(0).var(ddof=1) / 50
    rest = d - d.mean(1, keepdims=True) - d.mean(0) + d.mean()
    error = np.sqrt(seeds + max(images - (rest**2).sum() / (3 * 49) / 200, 0))
    row = contrast_tests(right.mean(2), [Contrast("a over b", np.array([1.0, -1]))], Analysis(sesoi=0.3), right).iloc[0]
    assert row["error"] == pytest.approx(error) and row["p"] == pytest.approx(2 * stats.t.sf(d.mean() / error, 3))
    assert row["high"] == pytest.approx(d.mean() + stats.t.isf(0.025, 3) * error)
    assert row["equivalence_p"] == pytest.approx(stats.t.cdf((d.mean() - 0.3) / error, 3))


def test_no_interval_ends_beyond_what_is_possible():
    table = np.array([[1.0, 0.0], [0.3, 0.2]])
    row = contrast_tests(table, [Contrast("a over b", np.array([1.0, -1]))], Analysis()).iloc[0]
    assert (row["low"], row["high"]) == (-1, 1)


def test_wins():
    a, b = np.array([3.0, 2, 2, 5]), np.array([1.0, 2, 4, 1])
    share, low, high = share_of_wins(a, b)
    assert share == 0.625  # two wins, a tie, a loss
    expected = stats.binomtest(5, 5).proportion_ci(0.95, "wilson")
    assert share_of_wins(np.ones(5), np.zeros(5)) == pytest.approx((1, expected.low, expected.high))
    assert np.isnan(share_of_wins(a[:1], b[:1])).all() and low < share < high


def test_violation_ratio_by_hand():
    a, b = np.array([0.73, 0.69, 0.72, 0.70, 0.71]), np.array([0.71, 0.70, 0.715, 0.705, 0.712])
    # Sorted, b lies above by 0.010, 0.005 and 0, and below by 0.008 and 0.015.
    assert violation_ratio(a, b) == pytest.approx(1.25 / (1.25 + 0.64 + 2.25))
    assert violation_ratio(a, b) + violation_ratio(b, a) == pytest.approx(1)
    assert violation_ratio(a, a) == 0.5 and violation_ratio(a + 1, a) == 0


def test_almost_stochastic_order_agrees_with_deepsig():
    """deepsig 1.2.8, two seeds, 4,000 draws: 0.856 and 0.865; 0.324 and 0.326."""
    rng = np.random.default_rng(4)
    a, b = np.array([0.69, 0.70, 0.71, 0.72, 0.73]), np.array([0.70, 0.705, 0.71, 0.712, 0.715])
    assert almost_stochastic_order(a, b, alpha=0.05, resamples=10000, rng=rng) == pytest.approx(0.86, abs=0.02)
    a, b = np.array([0.721, 0.735, 0.728, 0.718, 0.731]), np.array([0.722, 0.719, 0.727, 0.724, 0.716])
    assert almost_stochastic_order(a, b, alpha=0.05, resamples=10000, rng=rng) == pytest.approx(0.32, abs=0.02)
    assert almost_stochastic_order(b + 1, b, alpha=0.05, resamples=1000, rng=rng) == 0
    assert np.isnan(almost_stochastic_order(a[:1], b[:1], alpha=0.05, resamples=100, rng=rng))
