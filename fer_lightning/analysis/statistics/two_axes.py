"""What is found where two axes are crossed: whether the gain of the one depends on the other."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.contrasts import differences_of_gains, gains, per_block, roles
from fer_lightning.analysis.statistics.factorial import bayes_factor, tukey_nonadditivity, two_way
from fer_lightning.analysis.statistics.interaction_verdict import Verdict, decide
from fer_lightning.analysis.statistics.paired_tests import compare
from fer_lightning.analysis.statistics.robustness import aligned_ranks, mixed_model, permutation_p, residual_checks
from fer_lightning.analysis.statistics.seeds_needed import Ability, ability_finding, remedy, unmeasured
from fer_lightning.analysis.wording import equals, number, p_value, percent, points, points_interval

# What repeats with other seeds vary by where a study has not measured it, as fractions (Jordan 2023 bounds it by 0.006).
TYPICAL_SD = (0.003, 0.006)


def crossed_findings(design, scores, analysis, pictures):
    """(Verdict, [Finding], {kind: frame of `compare`}) of a grid of two axes with a run in every cell.

    scores: {outcome, clean, logit: (blocks, cells)}; pictures: see `compare`.
    """
    parts = roles(design, analysis.reference)
    contrasts = differences_of_gains(design, parts)
    differences = compare(scores["outcome"], contrasts, analysis, pictures)
    for scale in ("clean", "logit"):
        differences[scale] = pd.DataFrame(per_block(scores[scale], contrasts)).mean()
    single = compare(scores["outcome"], gains(design, parts), analysis, pictures)
    frames = {"difference of gains": differences, "gain": single}
    tables = [_differences(differences, parts, pictures), _gains(single, parts)]
    y = complete(design, scores["outcome"])
    axes = {axis: len(levels) for axis, levels in design.levels.items()}
    if len(y) < 2:
        return _untested(axes, len(contrasts), analysis), [_nonadditivity(design, scores["outcome"]), *tables], frames
    anova = two_way(y)
    ability = Ability(float(anova.sd_residual), axes, len(contrasts), analysis.alpha, analysis.sesoi)
    if not ability.sd > 0:
        verdict = Verdict("inconclusive", "Inconclusive: all repeats scored the same, so no test is possible.")
        return verdict, [_anova(anova, axes, len(y)), *tables], frames
    verdict = decide(float(anova.p["ab"]), differences, analysis, remedy(ability))
    findings = [_anova(anova, axes, len(y)), _robustness(design, scores, analysis), *tables]
    return verdict, [*findings, ability_finding(ability, len(y))], frames


def complete(design, table):
    """The blocks of a table (blocks, cells) that lack no cell, as (blocks, A, B)."""
    return table[~np.isnan(table).any(1)].reshape(-1, *(len(levels) for levels in design.levels.values()))


def _untested(axes, contrasts, analysis):
    abilities = [Ability(sd, axes, contrasts, analysis.alpha, analysis.sesoi) for sd in TYPICAL_SD]
    sentence = "Inconclusive: fewer than two seeds have every cell, so no test is possible."
    return Verdict("inconclusive", f"{sentence} {unmeasured(abilities)}")


def _anova(anova, axes, seeds):
    names = dict(zip(("a", "b", "ab"), (*axes, " x ".join(axes)))) | {"block": "seed", "residual": "residual"}
    rows = [
        {
            "source": name,
            "degrees of freedom": anova.df[source],
            "mean square (points²)": number(1e4 * anova.ss[source] / anova.df[source] if anova.df[source] else np.nan, 4),
            "F": number(anova.f.get(source)),
            "p": p_value(anova.p.get(source)),
            "partial omega²": number(anova.omega.get(source)),
        }
        for source, name in names.items()
    ]
    text = (
        f"Two-way analysis of variance of the {seeds} seeds that have every cell, the seeds as complete blocks. Standard deviation between "
        f"seeds {percent(anova.sd_block)} points, within a seed (residual) {percent(anova.sd_residual)} points.",
    )
    return Finding("Analysis of variance", text, pd.DataFrame(rows))


def _robustness(design, scores, analysis):
    """The interaction test again without its assumptions, on all runs, and on other scales."""
    y = complete(design, scores["outcome"])
    anova = two_way(y)
    f, p = float(anova.f["ab"]), float(anova.p["ab"])
    tests = {
        "F test": (f, p),
        f"permutation within seeds ({analysis.resamples:,})": (f, permutation_p(y, analysis.resamples, np.random.default_rng(0))),
        "aligned rank transform": aligned_ranks(y),
        "REML mixed model, all runs": mixed_model(scores["outcome"], *y.shape[1:]),
        "F test on the logit scale": _interaction(design, scores["logit"]),
        "F test on clean pictures": _interaction(design, scores["clean"]),
    }
    table = pd.DataFrame([{"test of the interaction": name, "F": number(f), "p": p_value(p)} for name, (f, p) in tests.items()])
    checks = residual_checks(y)
    bf = float(bayes_factor(anova, y.size))
    logit_p = tests["F test on the logit scale"][1]
    text = [
        f"Residuals: equal spread in all cells, Levene p {equals(checks.levene)}; normal, Shapiro-Wilk p {equals(checks.shapiro)}, "
        f"correlation with normal quantiles {number(checks.qq, 3)}.",
        f"BIC Bayes factor for no interaction: BF01 = {bf:.3g}.",
    ]
    if p < analysis.alpha <= logit_p:
        text.append("The interaction is scale-dependent: it is significant in percent and not on the logit scale.")
    return Finding("Does the interaction test hold", tuple(text), table)


def _interaction(design, table):
    y = complete(design, table)
    if len(y) < 2:
        return np.nan, np.nan
    anova = two_way(y)
    return float(anova.f["ab"]), float(anova.p["ab"])


def _nonadditivity(design, table):
    means = pd.DataFrame(table).mean().to_numpy().reshape([len(levels) for levels in design.levels.values()])
    f, df, p = tukey_nonadditivity(means)
    sentence = f"Tukey's test of non-additivity on the cells' means, descriptive: F(1, {df}) = {number(f)}, p {equals(p)}."
    if np.isnan(p):
        sentence = "Tukey's test of non-additivity needs a larger table, and one that is not exactly additive."
    return Finding("Interaction, descriptive", ("Fewer than two seeds have every cell: no test is possible.", sentence))


def _differences(frame, parts, pictures):
    text = (
        f"How much more {parts.treated} gains over {parts.base} with each {parts.other} than with {parts.reference}, in points; paired by "
        "seed. Interval and p are Holm-adjusted over the rows; equivalence p is of two one-sided t tests against the smallest "
        "difference of interest.",
        "The intervals here and below hold for other seeds and other pictures (two-way bootstrap), p for other seeds on these pictures."
        if pictures
        else "The intervals here and below hold, as p does, for other seeds on these pictures.",
    )
    rows = {
        "difference of gains": frame["name"],
        "points": frame["estimate"].map(points),
        "interval": [points_interval(*bounds) for bounds in frame[["low", "high"]].to_numpy()],
        "p (Holm)": frame["p_holm"].map(p_value),
        "equivalence p": frame["equivalence_p"].map(p_value),
        "on clean pictures": frame["clean"].map(points),
        "logit": frame["logit"].map(number),
    }
    return Finding("Synergy contrasts", text, pd.DataFrame(rows))


def _gains(frame, parts):
    text = (f"What {parts.treated} gains over {parts.base}, in points; paired by seed, Holm-adjusted over the rows.",)
    rows = {
        "gain": frame["name"],
        "seeds": frame["n"],
        "points": frame["estimate"].map(points),
        "interval": [points_interval(*bounds) for bounds in frame[["low", "high"]].to_numpy()],
        "p (Holm)": frame["p_holm"].map(p_value),
    }
    return Finding(f"Gain of {parts.treated}", text, pd.DataFrame(rows))
