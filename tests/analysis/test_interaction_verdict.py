"""The verdict on an interaction: each condition of the registered rule, what its paragraph says, and how often the rule is wrong."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fer_lightning.analysis.statistics.contrasts import Roles
from fer_lightning.analysis.statistics.descriptive import logit
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.interaction_verdict import decide
from fer_lightning.analysis.statistics.layout import layout
from fer_lightning.analysis.statistics.seeds_needed import StudyPower
from fer_lightning.analysis.statistics.two_axes import crossed_findings
from fer_lightning.config.registered_analysis import Analysis

TUNED = Analysis(tuned_per_cell=True, reference={"head.act": "relu", "head.norm": "bn"})
ROLES = Roles("head.norm", "none", "head.act", "relu")


def gains(**changes):
    """One difference of gains that meets all conditions of synergy, and one that meets none."""
    both = {"treatment": "bn instead of none", "gain": 0.03, "reference_gain": 0.02}
    row = both | {"level": "gelu", "estimate": 0.01, "p_holm": 0.004, "low": 0.004, "high": 0.016, "equivalence_p": 0.9}
    row |= {"clean": 0.02, "logit": 0.1} | changes
    other = both | {"level": "mish", "estimate": 0.0, "p_holm": 1.0, "low": -0.01, "high": 0.01, "equivalence_p": 0.2}
    return pd.DataFrame([row, other | {"clean": 0.0, "logit": 0.0}])


def test_synergy():
    verdict = decide(0.01, gains(), ROLES, TUNED, remedy="More seeds.")
    assert verdict.word == "synergy" and verdict.conclusion == "Synergy: bn instead of none helps gelu more than relu."
    assert "+1.00 points with gelu (+0.40 to +1.60)" in verdict.seen and not verdict.settle


@pytest.mark.parametrize(
    ("p", "changes", "analysis", "said"),
    [
        (0.06, {}, TUNED, "F test of the interaction has p = 0.060"),
        (np.nan, {}, TUNED, "p not defined"),
        (0.01, {"p_holm": 0.06}, TUNED, "do not show that bn instead of none helps one activation more than another"),
        (0.01, {"p_holm": 0.06, "low": -0.001}, TUNED, "Every 95 % interval of a difference of gains includes 0."),
        (0.01, {"estimate": 0.0049}, TUNED, "reaches 0.50 points"),
        (0.01, {"clean": -0.001}, TUNED, "same sign on clean images"),
        (0.01, {"clean": np.nan}, TUNED, "same sign on clean images"),
        (0.01, {"logit": -0.1}, TUNED, "same sign on clean images"),
        (0.01, {}, Analysis(), "learning rate was not tuned in every cell"),
    ],
)
def test_synergy_takes_all_of_its_conditions(p, changes, analysis, said):
    verdict = decide(p, gains(**changes), ROLES, analysis)
    assert verdict.word == "inconclusive" and said in verdict.paragraph and verdict.conclusion.startswith("Inconclusive: ")


def test_a_negative_synergy_is_one_too():
    less = {"estimate": -0.01, "low": -0.016, "high": -0.004, "clean": -0.02, "logit": -0.1}
    verdict = decide(0.01, gains(**less), ROLES, TUNED)
    assert verdict.word == "synergy" and "bn instead of none helps gelu less than relu" in verdict.conclusion


def test_a_treatment_that_harms_is_said_to_harm():
    verdict = decide(0.01, gains(gain=-0.01, reference_gain=-0.02), ROLES, TUNED)
    assert "bn instead of none harms gelu less than relu" in verdict.conclusion


def test_several_treatments_are_named_in_each_difference():
    two = pd.concat([gains(), gains(treatment="ln instead of none")], ignore_index=True)
    verdict = decide(0.01, two, ROLES, TUNED)
    assert verdict.conclusion == "Synergy: bn instead of none helps gelu more than relu and ln instead of none helps gelu more than relu."
    assert "+1.00 points with gelu (ln instead of none) (+0.40 to +1.60)" in verdict.seen
    assert "normalization helps one activation more" in decide(0.4, two, ROLES, TUNED).conclusion


def test_additive_takes_all_differences():
    small = gains(estimate=0.001, equivalence_p=0.01, p_holm=0.01, low=0.0005)
    assert decide(0.4, small, ROLES, TUNED).word == "inconclusive"
    small["equivalence_p"] = [0.01, 0.04]
    # A difference that is shown and too small to matter is additive, whatever F says.
    for p in (0.4, 0.001):
        verdict = decide(p, small, ROLES, TUNED)
        assert verdict.word == "additive" and "equally with every activation, to within ±0.50 points" in verdict.conclusion
        assert "0.040" in verdict.seen


def test_nothing_is_additive_either_without_a_rate_of_its_own_for_each_cell():
    small = gains(estimate=0.001, equivalence_p=0.01, p_holm=0.5)
    small["equivalence_p"] = 0.01
    for p in (0.4, 0.001):
        verdict = decide(p, small, ROLES, Analysis(), remedy="More seeds.")
        assert verdict.word == "inconclusive" and "which may hide a difference" in verdict.conclusion
        assert "tuned_per_cell=true" in verdict.settle and "More seeds." not in verdict.settle


def test_a_rate_that_is_an_axis_needs_no_tuning():
    """S4's grid: to ask that the rate be tuned in every cell of optimizers x rates has no meaning."""
    swept = Roles("optimizer.lr", "0.001", "optimizer", "sgd")
    verdict = decide(0.01, gains(), swept, Analysis())
    assert verdict.word == "synergy" and "the learning rate is one of the two axes" in verdict.seen and "tuned" not in verdict.paragraph


def test_a_paragraph_on_many_differences_names_the_largest_and_counts_the_rest():
    rows = [gains(level=f"l{i}", estimate=0.01 * i, low=0.01 * i - 0.005, high=0.01 * i + 0.005).iloc[:1] for i in range(1, 9)]
    many = pd.concat([*rows, gains().iloc[1:]], ignore_index=True)
    seen = decide(0.01, many, ROLES, Analysis()).seen
    assert "the gain differs in 8 of 9 cases, the largest by +8.00 points with l8 (+7.50 to +8.50), +7.00" in seen
    assert "with l2" not in seen and "mish" not in seen and "Equality within ±0.50 points is not shown for 9 of the 9 differences." in seen
    none = many.assign(low=-0.1, high=0.1)
    seen = decide(0.01, none, ROLES, Analysis()).seen
    assert seen.startswith("The F test of the interaction has p = 0.010. Every 95 % interval of a difference of gains includes 0.")


def test_seeds_are_the_remedy_only_where_seeds_are_missing():
    assert decide(0.4, gains(), ROLES, TUNED, remedy="More seeds.").settle == "More seeds."
    assert "More seeds." not in decide(0.01, gains(), ROLES, Analysis(), remedy="More seeds.").paragraph


@pytest.mark.parametrize(("gain", "seeds"), [(0.010, 6), (0.012, 8), (0.006, 20)])
def test_the_seeds_that_are_promised(gain, seeds):
    """The power of the whole rule, over seeds, is what drawing studies and applying it gives."""
    rng = np.random.default_rng(2)
    sd, alpha, sesoi = 0.004, 0.05, 0.005
    effect = np.zeros((2, 4))
    effect[0, 0] = gain
    y = rng.normal(0, sd, (1500, seeds, 2, 4)) + effect
    gains = y[:, :, 0] - y[:, :, 1]
    d = gains[:, :, [0, 1, 3]] - gains[:, :, [2]]
    p = stats.ttest_1samp(d, 0, axis=1).pvalue
    holm_passed = np.sort(p, axis=1) < alpha / np.array([3, 2, 1])
    counted = np.logical_and.accumulate(holm_passed, axis=1)
    passed = np.take_along_axis(counted, np.argsort(np.argsort(p, axis=1), axis=1), axis=1)
    synergy = (two_way(y).p["ab"] < alpha) & (passed & (np.abs(d.mean(1)) >= sesoi)).any(1)
    study = StudyPower(sd, {"head.norm": 2, "head.act": 4}, 3, alpha, sesoi)
    assert study.synergy(gain, seeds) == pytest.approx(synergy.mean(), abs=0.08)


ACTS, NORMS = ("gelu", "mish", "relu", "swish"), ("bn", "none")


def verdict_word(rng, seeds, synergy, images=400):
    """The word for drawn networks: every run gets an image right with a chance that depends on the image, the cell and both."""
    rows = [{"name": f"{a}-{n}-{s}", "head.act": a, "head.norm": n, "seed": s} for s in range(seeds) for a in ACTS for n in NORMS]
    ability = np.array([0.25 * (n == "bn") + synergy * (n == "bn") * (a == "gelu") for a in ACTS for n in NORMS])
    score = ability[:, None] + 2.5 + rng.normal(0, 2.5, images) + rng.normal(0, 0.4, (8, images)) - 0.05
    right = rng.random((seeds, 8, images)) < 1 / (1 + np.exp(-score))
    accuracy = right.mean(2)
    design = layout(pd.DataFrame(rows).assign(status="done", test_accuracy=accuracy.ravel()), "test_accuracy")
    scores = {"outcome": accuracy, "clean": right[:, :, images // 5 :].mean(2), "logit": logit(accuracy, images)}
    scores["images"] = np.full(accuracy.shape, images)
    return crossed_findings(design, scores, Analysis(tuned_per_cell=True, reference=TUNED.reference, resamples=100), right)[0].word


def test_a_large_synergy_is_found_and_none_is_not():
    rng = np.random.default_rng(0)
    assert [verdict_word(rng, 10, synergy=2.0) for _ in range(2)] == ["synergy"] * 2
    assert "synergy" not in [verdict_word(rng, 10, synergy=0.0) for _ in range(3)]


@pytest.mark.slow
def test_false_alarms_of_the_whole_rule():
    rng = np.random.default_rng(1)
    words = [verdict_word(rng, 5, synergy=0.0) for _ in range(500)]
    assert words.count("synergy") < 0.07 * 500
