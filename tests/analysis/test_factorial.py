"""Analysis of variance in complete blocks and what checks it, against published tables, statsmodels and simulation."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from fer_lightning.analysis.statistics.factorial import bayes_factor, tukey_nonadditivity, two_way
from fer_lightning.analysis.statistics.robustness import aligned_ranks, mixed_model, permutation_p, residual_checks

# Yates (1935), oats: 6 blocks x 3 varieties x 4 rates of nitrogen, as in Venables & Ripley, MASS.
OATS = np.reshape(
    [
        *(111, 130, 157, 174, 117, 114, 161, 141, 105, 140, 118, 156, 61, 91, 97, 100, 70, 108, 126, 149, 96, 124, 121, 144),
        *(68, 64, 112, 86, 60, 102, 89, 96, 89, 129, 132, 124, 74, 89, 81, 122, 64, 103, 132, 133, 70, 89, 104, 117),
        *(62, 90, 100, 116, 80, 82, 94, 126, 63, 70, 109, 99, 53, 74, 118, 113, 89, 82, 86, 104, 97, 99, 119, 121),
    ],
    (6, 3, 4),
).astype(float)

# S0, Table 3: without and with BatchNorm, of GELU, ReLU, Swish, Mish.
S0 = np.array([[72.4, 70.1, 71.5, 72.0], [75.8, 73.2, 74.3, 74.9]])


def long(y):
    index = pd.MultiIndex.from_product([range(n) for n in y.shape], names=["seed", "a", "b"])
    return pd.Series(y.ravel(), index, name="y").reset_index()


def draw(rng, blocks=6, a=2, b=4, studies=(), sd=1.0):
    return rng.normal(0, sd, (*studies, blocks, a, b)) + rng.normal(0, sd, (*studies, blocks, 1, 1))


def test_the_published_table_of_oats():
    table = two_way(OATS)
    assert table.ss["a"] == pytest.approx(1786.36, abs=0.01) and table.ss["b"] == pytest.approx(20020.5, abs=0.01)
    assert table.ss["ab"] == pytest.approx(321.75, abs=0.01) and table.ss["block"] == pytest.approx(15875.28, abs=0.01)
    assert table.ss["residual"] == pytest.approx(6013.31 + 7968.75, abs=0.01)  # the split-plot table's two errors, pooled
    assert table.df == {"a": 2, "b": 3, "ab": 6, "block": 5, "residual": 55}


def test_two_way_is_least_squares_with_fixed_blocks():
    y = draw(np.random.default_rng(0)) + 0.5 * np.arange(4)
    table = two_way(y)
    expected = sm.stats.anova_lm(smf.ols("y ~ C(a) * C(b) + C(seed)", long(y)).fit())
    for source, name in {"a": "C(a)", "b": "C(b)", "ab": "C(a):C(b)"}.items():
        assert table.f[source] == pytest.approx(expected.loc[name, "F"])
        assert table.p[source] == pytest.approx(expected.loc[name, "PR(>F)"])
        assert table.df[source] == expected.loc[name, "df"]
    assert table.sd_residual**2 == pytest.approx(expected.loc["Residual", "mean_sq"])


def test_one_factor_is_the_analysis_of_repeated_measures():
    y = draw(np.random.default_rng(1), a=5, b=1) + np.arange(5)[:, None] / 4
    expected = AnovaRM(long(y), "y", "seed", within=["a"]).fit().anova_table.iloc[0]
    table = two_way(y)
    assert (table.f["a"], table.p["a"]) == pytest.approx((expected["F Value"], expected["Pr > F"]))
    assert np.isnan(table.f["b"]) and np.isnan(table.f["ab"])


def test_seven_residual_degrees_of_freedom_a_seed():
    assert two_way(draw(np.random.default_rng(2), blocks=10)).df == {"a": 1, "b": 3, "ab": 3, "block": 9, "residual": 63}


def test_partial_omega_squared_and_variances_are_recovered():
    rng = np.random.default_rng(3)
    effect = 0.5 * np.array([[0, 0, 0, 0], [0, 0, 0, 1.0]])
    y = rng.normal(0, 1, (400, 20, 2, 4)) + rng.normal(0, 2, (400, 20, 1, 1)) + effect
    table = two_way(y)
    interaction = effect - effect.mean(0) - effect.mean(1, keepdims=True) + effect.mean()
    variance = np.square(interaction).mean()
    assert table.omega["ab"].mean() == pytest.approx(variance / (variance + 1), abs=0.01)
    assert table.sd_residual.mean() == pytest.approx(1, abs=0.02) and table.sd_block.mean() == pytest.approx(2, abs=0.1)


def test_false_alarms_of_the_f_test():
    p = two_way(draw(np.random.default_rng(4), blocks=5, studies=(500,))).p["ab"]
    assert np.mean(p < 0.05) < 0.07
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_no_residual_gives_no_test():
    for y in (np.full((3, 2, 4), 0.245), draw(np.random.default_rng(5), blocks=1)):
        assert np.isnan(two_way(y).p["ab"])


def test_bayes_factor_is_that_of_the_bic_of_two_linear_models():
    y = draw(np.random.default_rng(6))
    full = smf.ols("y ~ C(a) * C(b) + C(seed)", long(y)).fit()
    additive = smf.ols("y ~ C(a) + C(b) + C(seed)", long(y)).fit()
    assert bayes_factor(two_way(y), y.size) == pytest.approx(np.exp((full.bic - additive.bic) / 2))


def test_nonadditivity_of_the_papers_table():
    f, df, p = tukey_nonadditivity(S0)
    assert df == 2 and p == pytest.approx(0.67, abs=0.005)  # its gains of 3.4, 3.1, 2.8 and 2.9 points are nearly the same
    frame = long(S0[None])
    additive = smf.ols("y ~ C(a) + C(b)", frame).fit()
    # Tukey's test is the test of one more regressor, the product of the two estimated effects.
    product = np.outer(S0.mean(1) - S0.mean(), S0.mean(0) - S0.mean()).ravel()
    larger = smf.ols("y ~ C(a) + C(b) + product", frame.assign(product=product)).fit()
    assert (f, p) == pytest.approx(larger.compare_f_test(additive)[:2])


def test_nonadditivity_needs_a_table_that_can_show_it():
    assert np.isnan(tukey_nonadditivity(S0[:, :2])[2])
    assert np.isnan(tukey_nonadditivity(np.add.outer([0.0, 3.0], [1.0, 2.0, 5.0]))[2])


def test_permutation_agrees_with_f_where_its_assumptions_hold():
    rng = np.random.default_rng(7)
    for _ in range(5):
        y = draw(rng) + 0.4 * rng.normal(size=(2, 4))
        assert permutation_p(y, 4000, rng) == pytest.approx(float(two_way(y).p["ab"]), abs=0.03)


@given(st.integers(0, 2**32 - 1))
def test_main_effects_and_seeds_do_not_reach_the_permutation_test(seed):
    rng = np.random.default_rng(seed)
    y = draw(rng, blocks=3)
    shifted = y + rng.normal(size=(3, 1, 1)) + rng.normal(size=(2, 1)) + rng.normal(size=4)
    assert permutation_p(y, 200, np.random.default_rng(0)) == permutation_p(shifted, 200, np.random.default_rng(0))


def test_false_alarms_of_the_permutation_test_with_heavy_tails():
    rng = np.random.default_rng(8)
    p = [permutation_p(rng.standard_t(2, (5, 2, 4)), 199, rng) for _ in range(300)]
    assert np.mean(np.array(p) <= 0.05) < 0.08


@given(st.integers(0, 2**32 - 1))
def test_main_effects_do_not_reach_the_aligned_ranks(seed):
    rng = np.random.default_rng(seed)
    y = draw(rng)
    assert aligned_ranks(y + 100 * rng.normal(size=(2, 1)) + 100 * rng.normal(size=4)) == pytest.approx(aligned_ranks(y))


def test_aligned_ranks_see_an_interaction_and_few_that_are_none():
    rng = np.random.default_rng(9)
    interaction = 2.0 * np.array([[0, 0, 0, 0], [0, 0, 0, 1]])
    assert aligned_ranks(rng.standard_t(2, (10, 2, 4)) + 3 * interaction)[1] < 0.01
    p = [aligned_ranks(draw(rng, blocks=5))[1] for _ in range(300)]
    assert np.mean(np.array(p) < 0.05) < 0.08


def test_mixed_model_of_complete_blocks_is_the_analysis_of_variance():
    y = draw(np.random.default_rng(10), blocks=8) / 100 + 0.7
    f, p = mixed_model(y.reshape(8, 8), 2, 4)
    assert (f, p) == pytest.approx((float(two_way(y).f["ab"]), float(two_way(y).p["ab"])), rel=1e-3)


def test_mixed_model_takes_incomplete_blocks():
    y = draw(np.random.default_rng(11), blocks=8)
    table = y.reshape(8, 8).copy()
    table[0, 3] = table[5, 6] = np.nan
    frame = long(y)[~np.isnan(table.ravel())]
    fit = smf.mixedlm("y ~ C(a) * C(b)", frame, groups=frame["seed"]).fit()
    names = [name for name in fit.fe_params.index if ":" in name]
    effects, covariance = fit.fe_params[names], fit.cov_params().loc[names, names]
    assert mixed_model(table, 2, 4)[0] == pytest.approx(effects @ np.linalg.solve(covariance, effects) / 3, rel=1e-2)


def test_mixed_model_says_nothing_of_a_grid_with_an_empty_cell_or_of_one_seed():
    table = draw(np.random.default_rng(12)).reshape(6, 8)
    table[:, 2] = np.nan
    for some in (table, draw(np.random.default_rng(12), blocks=1).reshape(1, 8), np.full((4, 8), 0.3)):
        assert np.isnan(mixed_model(some, 2, 4)).all()


def test_residual_checks_find_what_is_wrong():
    rng = np.random.default_rng(13)
    fine = residual_checks(rng.normal(size=(30, 2, 4)))
    assert fine.levene > 0.01 and fine.shapiro > 0.01 and fine.qq > 0.99
    uneven = residual_checks(rng.normal(size=(30, 2, 4)) * np.array([1, 1, 1, 8]))
    assert uneven.levene < 0.001 and uneven.shapiro < 0.001 and uneven.qq < fine.qq
    assert np.isnan(residual_checks(np.full((3, 2, 4), 0.5)).levene)
