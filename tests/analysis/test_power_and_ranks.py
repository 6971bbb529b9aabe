"""Power of the tests, ranks of many cells, and what a cell's runs say of it: against published tables and simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import FTestAnovaPower, TTestPower
from statsmodels.stats.proportion import proportion_confint

from fer_lightning.analysis.statistics import power
from fer_lightning.analysis.statistics.correctness import discordance
from fer_lightning.analysis.statistics.descriptive import (
    cell_interval,
    classical_interval,
    describe,
    expected_maximum,
    least_difference,
    logit,
    wilson_interval,
)
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.rank_tests import friedman, nemenyi_distance, pairwise
from fer_lightning.analysis.statistics.seeds_needed import StudyPower, power_finding, seeds_for_interaction, seeds_for_pairs
from fer_lightning.config.registered_analysis import Analysis

# Seeds for 80 % power in a grid of 2 x 4 cells, seeds as blocks, by standard deviation of the residual in points.
INTERACTION = {0.3: (12, 4, 3, 2), 0.4: (20, 6, 3, 3), 0.5: (30, 8, 4, 3), 0.6: (43, 12, 6, 4)}  # 0.5, 1.0, 1.5, 2.0 points
NORM = {0.3: (2, 2), 0.4: (3, 2), 0.5: (5, 2), 0.6: (6, 2)}  # 0.5, 1.0 points
S0_PATTERN = {0.3: (0.45, 0.80, 0.99, 1.0), 0.4: (0.26, 0.53, 0.86, 0.97), 0.5: (0.18, 0.35, 0.66, 0.85), 0.6: (0.14, 0.25, 0.49, 0.69)}


@pytest.mark.parametrize("sd", INTERACTION)
def test_seeds_of_the_power_table(sd):
    def interaction(gain, seeds):
        return power.interaction_power(gain, seeds, sd=sd, a=2, b=4)

    def norm(difference, seeds):
        return power.main_effect_power(difference, seeds, sd=sd, a=2, b=4)

    assert tuple(power.seeds_needed(interaction, gain) for gain in (0.5, 1.0, 1.5, 2.0)) == INTERACTION[sd]
    assert tuple(power.seeds_needed(norm, difference) for difference in (0.5, 1.0)) == NORM[sd]


@pytest.mark.parametrize("sd", S0_PATTERN)
def test_power_for_the_gains_that_s0_prints(sd):
    gains = np.array([3.4, 3.1, 2.8, 2.9])
    squares = np.square(gains - gains.mean()).sum() / 2
    found = [power.f_power(n * squares / sd**2, 3, 7 * (n - 1), 0.05) for n in (5, 10, 20, 30)]
    assert found == pytest.approx(S0_PATTERN[sd], abs=0.0051)


def test_power_is_how_often_the_f_test_finds_it():
    rng = np.random.default_rng(0)
    effect = np.zeros((2, 4))
    effect[1, 2] = 1.0
    p = two_way(rng.normal(0, 0.4, (4000, 5, 2, 4)) + rng.normal(0, 0.4, (4000, 5, 1, 1)) + effect).p["ab"]
    assert np.mean(p < 0.05) == pytest.approx(power.interaction_power(1.0, 5, sd=0.4, a=2, b=4), abs=0.02)


def test_power_of_a_pair_is_that_of_the_paired_t_test():
    expected = TTestPower().power(effect_size=1.0 / (np.sqrt(2) * 0.5), nobs=7, alpha=0.05)
    assert power.paired_power(1.0, 7, sd=0.5, cells=2) == pytest.approx(expected)
    assert power.paired_power(1.0, 7, sd=0.5, cells=4) == pytest.approx(TTestPower().power(effect_size=1.0, nobs=7, alpha=0.05))
    assert power.seeds_needed(lambda x, n: power.paired_power(x, n, sd=0.4, cells=2), 0.5) == 13


def test_f_power_is_statsmodels():
    expected = FTestAnovaPower().power(effect_size=0.4, nobs=40, alpha=0.05, k_groups=4)
    assert power.f_power(0.4**2 * 40, 3, 36, 0.05) == pytest.approx(expected)


def test_power_of_equivalence_is_how_often_all_tests_show_it():
    rng = np.random.default_rng(1)
    sd, seeds, margin = 0.4, 40, 0.5
    y = rng.normal(0, sd, (3000, seeds, 2, 4))
    gains = y[:, :, 1] - y[:, :, 0]
    d = gains[:, :, 1:] - gains[:, :, :1]
    reach = stats.t.isf(0.05, seeds - 1) * d.std(1, ddof=1) / np.sqrt(seeds)
    shown = (np.abs(d.mean(1)) + reach < margin).all(1).mean()
    bound = power.equivalence_power(margin, seeds, sd=sd, contrasts=3)
    assert bound - 0.02 < shown < bound + 0.08


def test_what_can_be_detected_is_the_inverse_of_power():
    def of(gain, seeds):
        return power.interaction_power(gain, seeds, sd=0.4, a=2, b=4)

    assert of(power.smallest_effect(of, 0.4, 10), 10) == pytest.approx(0.8, abs=1e-4)
    assert power.seeds_needed(of, 1e-5) is None


def test_seeds_that_would_tell_a_cell_from_the_first():
    """As in the power table: 13 seeds for 0.5 points at a residual of 0.4; without a measured residual a range."""
    said = seeds_for_pairs(0.004, 1, Analysis())
    assert "residual standard deviation of 0.40 points" in said and "13 seeds to show a difference of 0.50 points" in said
    assert "8 to 25 seeds" in seeds_for_pairs(np.nan, 1, Analysis())
    assert "no number of seeds on 512 images is enough to show" in seeds_for_pairs(np.nan, 1, Analysis(), floor=0.05, images=512)
    assert "17 seeds" in seeds_for_pairs(0.004, 3, Analysis())  # Bonferroni over three comparisons


# Demsar (2006), table 6: AUC of C4.5, +m, +cf and +m+cf on 14 data sets. The paper ranks "voting" 2 and 3 in the last two columns, where
# it prints 0.975 twice; a last digit tells them apart here.
DEMSAR = np.reshape(
    [
        *(0.763, 0.768, 0.771, 0.798, 0.599, 0.591, 0.590, 0.569, 0.954, 0.971, 0.968, 0.967, 0.628, 0.661, 0.654, 0.657),
        *(0.882, 0.888, 0.886, 0.898, 0.936, 0.931, 0.916, 0.931, 0.661, 0.668, 0.609, 0.685, 0.583, 0.583, 0.563, 0.625),
        *(0.775, 0.838, 0.866, 0.875, 1.000, 1.000, 1.000, 1.000, 0.940, 0.962, 0.965, 0.962, 0.619, 0.666, 0.614, 0.669),
        *(0.972, 0.981, 0.9751, 0.975, 0.957, 0.978, 0.946, 0.970),
    ],
    (14, 4),
)


def test_the_ranks_of_demsars_example():
    ranks = friedman(DEMSAR, 0.05)
    assert ranks.mean == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=0.0005)
    assert ranks.distance == pytest.approx(1.25, abs=0.005)
    assert friedman(DEMSAR, 0.10).distance == pytest.approx(1.12, abs=0.005)
    # The paper's chi-squared of 9.28 is not corrected for ties, which takes away their share of sum(k^3 - k); scipy's is.
    plain = 12 * 14 / 20 * (np.square(ranks.mean).sum() - 25)
    sizes = [n for row in DEMSAR for n in np.unique(row, return_counts=True)[1]]
    assert plain == pytest.approx(9.28, abs=0.01)
    assert ranks.chi2 == pytest.approx(plain / (1 - sum(n**3 - n for n in sizes) / (14 * (4**3 - 4))))
    assert ranks.p == pytest.approx(stats.chi2.sf(ranks.chi2, 3))


def test_nemenyis_quantiles_are_demsars_table_5():
    for cells, q in zip(range(2, 11), (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)):
        assert nemenyi_distance(cells, 1) / np.sqrt(cells * (cells + 1) / 6) == pytest.approx(q, abs=0.001)


def test_pairs_are_scipys_and_use_the_blocks_that_both_have():
    rng = np.random.default_rng(2)
    table = rng.normal(0.7, 0.01, (6, 3)) + [0, 0.02, 0]
    table[0, 2] = np.nan
    difference, p = pairwise(table)
    raw = [stats.ttest_rel(table[:, 0], table[:, 1]).pvalue]
    raw += [stats.ttest_rel(table[1:, i], table[1:, 2]).pvalue for i in (0, 1)]
    order = np.argsort(raw)
    adjusted = np.maximum.accumulate(np.array(raw)[order] * [3, 2, 1]).clip(max=1)[np.argsort(order)]
    assert [p[0, 1], p[0, 2], p[1, 2]] == pytest.approx(adjusted)
    assert difference[1, 2] == pytest.approx((table[1:, 1] - table[1:, 2]).mean())


def test_expected_maximum_of_draws():
    # Order statistics of the normal distribution: 1.1630 of 5, 1.5388 of 10, 1.8675 of 20.
    for n, expected in {5: 1.1630, 10: 1.5388, 20: 1.8675}.items():
        assert expected_maximum(0.0, 1.0, n) == pytest.approx(expected, abs=1e-4)
    assert expected_maximum(0.7, np.nan, 1) == 0.7


def test_noise_floor_of_3589_images():
    assert least_difference(0.16, 3589) == pytest.approx(0.0131, abs=5e-5)
    assert least_difference(0.16, 3589, power=0.8) == pytest.approx(0.0187, abs=5e-5)
    assert least_difference(0.08, 3589) == pytest.approx(0.0093, abs=5e-5)
    assert least_difference(0.08, 3589, power=0.8) == pytest.approx(0.0132, abs=5e-5)


def test_no_difference_is_larger_than_all_images():
    assert least_difference(1.0, 2, power=0.8) == 1 and np.isnan(least_difference(np.nan, 100))


def test_discordance_is_over_all_pairs():
    right = np.random.default_rng(3).random((5, 40)) < 0.6
    expected = np.mean([(right[i] != right[j]).mean() for i in range(5) for j in range(i)])
    assert discordance(right) == pytest.approx(expected) and np.isnan(discordance(right[:1]))


def test_description_of_a_cell():
    values = np.array([0.70, 0.72, np.nan, 0.73, 0.71, 0.79])
    found = describe(values, 3589)
    assert found["n"] == 5 and found["mean"] == pytest.approx(0.73) and found["sd"] == pytest.approx(np.nanstd(values, ddof=1))
    assert found["iqm"] == pytest.approx(0.72)  # of 0.71, 0.72 and 0.73
    assert (found["min"], found["max"]) == (0.70, 0.79)
    assert describe([np.nan])["n"] == 0


@pytest.mark.parametrize("seeds", [2, 3, 9, 10, 30])
def test_the_interval_of_a_cell_is_students_at_every_number_of_seeds(seeds):
    values = np.random.default_rng(0).normal(0.7, 0.01, seeds)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert cell_interval(values) == pytest.approx((expected.low, expected.high))


def test_a_share_has_no_interval_beyond_0_and_1():
    """Student's interval of two seeds reaches to 125 %; that of a loss, or of a logit, may."""
    assert cell_interval(np.array([0.95, 0.99])) == (pytest.approx(0.716, abs=1e-3), 1.0)
    assert cell_interval(np.array([0.01, 0.20]))[0] == 0.0
    assert cell_interval(np.array([0.95, 0.99]), share=False)[1] > 1


def test_seeds_that_no_number_is_enough_of():
    """The images alone give a difference a standard error of 0.3 points: +-0.5 cannot be shown, and a difference of 1 point can."""
    study = StudyPower(0.004, {"norm": 2, "act": 4}, 3, 0.05, 0.005, floor=0.003, pair_floor=0.003, images=3589)
    said = seeds_for_interaction([study], "act")
    assert "no number of seeds on 3,589 images is enough to show that all gain the same to ±0.50 points" in said
    assert "a difference of gains has a standard error of at least 0.30 points on 3,589 images" in said
    table = power_finding(study, 10).table.set_index("effect")
    assert table.loc["equivalence of all gains: margin", "seeds for 0.50 points"] == "no number"
    without = StudyPower(0.004, {"norm": 2, "act": 4}, 3, 0.05, 0.005)
    assert without.equivalence(0.005, 34) > 0.8 > study.equivalence(0.005, 10_000)
    assert without.synergy(0.01, 10) > study.synergy(0.01, 10)


def test_no_effect_is_larger_than_all_images():
    table = power_finding(StudyPower(0.2, {"norm": 2, "act": 4}, 3, 0.05, 0.005), 2).table
    assert "more than 100" in table["found with 2 seeds (points)"].to_list()


def test_intervals_of_few_one_and_equal_runs():
    assert cell_interval(np.array([0.5]), 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Wilson
    expected = stats.ttest_1samp([0.70, 0.72, 0.71], 0).confidence_interval()
    assert cell_interval(np.array([0.70, 0.72, 0.71])) == pytest.approx((expected.low, expected.high))
    assert np.isnan(cell_interval(np.full(4, 0.245))).all()  # their spread is not 0 but unknown
    assert np.isnan(cell_interval(np.array([0.5]))).all()


def test_classical_interval_of_seeds_is_students():
    values = [0.70, 0.72, 0.71, 0.735]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert classical_interval(values, 3589) == pytest.approx((expected.low, expected.high))
    assert classical_interval([0.5, 0.5], None) is None


def test_classical_interval_of_one_seed_is_wilsons():
    assert classical_interval([0.5], 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # textbook value
    assert classical_interval([0.5], None) is None


@pytest.mark.parametrize(("count", "n"), [(0, 7), (2, 12), (12, 12), (2620, 3589)])
def test_wilsons_interval_is_scipys(count, n):
    assert wilson_interval(count, n) == pytest.approx(tuple(stats.binomtest(count, n).proportion_ci(0.95, "wilson")), abs=1e-15)


def test_wilsons_interval_takes_half_counts():
    assert wilson_interval(2.5, 4) == pytest.approx(proportion_confint(2.5, 4, method="wilson"))


def test_logit_is_finite_at_the_ends():
    assert logit(np.array([0.0, 0.5, 1.0]), 10) == pytest.approx([-np.log(21), 0, np.log(21)])
