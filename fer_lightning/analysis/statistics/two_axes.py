"""The findings on two crossed axes: does the gain from one axis depend on the other?"""

from functools import partial

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.contrasts import differences_of_gains, gains, per_block, roles
from fer_lightning.analysis.statistics.factorial import bayes_factor, tukey_nonadditivity, two_way
from fer_lightning.analysis.statistics.interaction_verdict import decide, rate_known, untested
from fer_lightning.analysis.statistics.paired_tests import contrast_tests, mean_floor
from fer_lightning.analysis.statistics.robustness import aligned_ranks, mixed_model, permutation_p, residual_checks
from fer_lightning.analysis.statistics.seeds_needed import TYPICAL_SD, StudyPower, power_finding, seeds_for_interaction
from fer_lightning.analysis.statistics.seeds_outlook import outlook, outlook_finding
from fer_lightning.analysis.wording import ADJUSTED, axis_word, contrast_columns, equals, listed, number, p_value, percent, points
from fer_lightning.config.cell_names import level_name


def crossed_findings(design, scores, analysis, right, *, clean=None):
    """(Verdict, [Finding], {kind: frame of `contrast_tests`}, frame of `outlook` or None) of a grid of two axes with a run in every cell.

    scores: {outcome, clean, logit: (blocks, cells)}; right: see `contrast_tests`; clean: the same of the images without a twin
    """
    parts = roles(design, analysis.reference)
    differences, single = _contrasts(design, scores, parts=parts, analysis=analysis, right=right)
    frames = {"difference of gains": differences, "gain": single}
    spared = None
    if not np.isnan(scores["clean"]).all():
        spared = frames["gain on clean images"] = _on_clean_images(contrast_tests(scores["clean"], gains(design, parts), analysis, clean))
    tables = [_differences(differences, parts, right), _gains(single, spared, parts)]
    y = complete(design, scores["outcome"])
    axes = {axis: len(levels) for axis, levels in design.levels.items()}
    study_power = partial(StudyPower, axes=axes, contrasts=len(differences), alpha=analysis.alpha, sesoi=analysis.sesoi)
    if len(y) < 2:
        settle = seeds_for_interaction([study_power(sd) for sd in TYPICAL_SD], parts.other)
        verdict = untested("fewer than two seeds have every cell, so no test is possible", parts, settle)
        return verdict, [_nonadditivity(design, scores["outcome"]), *tables], frames, None
    anova = two_way(y)
    images = float(np.nanmax(scores["images"], initial=0))
    study = study_power(float(anova.sd_residual), floor=mean_floor(differences), pair_floor=mean_floor(single), images=images)
    if not study.sd > 0:
        verdict = untested("all repeats scored the same, so no test is possible", parts)
        return verdict, [_anova(anova, axes, len(y)), *tables], frames, None
    settle, left_out = seeds_for_interaction([study], parts.other), _left_out(design, scores["outcome"], analysis)
    verdict = decide(float(anova.p["ab"]), differences, parts, analysis, remedy=settle, left_out=left_out)
    weights = np.stack([contrast.weights for contrast in differences_of_gains(design, parts)])
    whole = None if right is None else right[~np.isnan(scores["outcome"]).any(1)]
    chances = outlook(y, weights, differences, analysis=analysis, images=images, right=whole)
    findings = [_anova(anova, axes, len(y)), _robustness(design, scores, analysis), *tables, power_finding(study, len(y))]
    return verdict, [*findings, outlook_finding(chances, len(y), bool(rate_known(analysis, axes)))], frames, chances


def _left_out(design, table, analysis):
    """A sentence on the seeds that the F test leaves out, because they lack a cell; empty if there are none."""
    lacking = np.isnan(table).any(1)
    if not lacking.any():
        return ""
    names = listed(name for name, lacks in zip(design.blocks, lacking) if lacks)
    _, p = mixed_model(table, *(len(levels) for levels in design.levels.values()))
    y = complete(design, table)
    agree = (p < analysis.alpha) == (float(two_way(y).p["ab"]) < analysis.alpha)
    warning = "" if agree or np.isnan(p) else " The two disagree, so the choice of seeds decides: finish the missing runs first."
    return (
        f"The F test leaves out {int(lacking.sum())} of {len(table)} seeds, which lack a run ({names}); a mixed model of all runs has p "
        f"{equals(p)}.{warning}"
    )


def complete(design, table):
    """The blocks of a table (blocks, cells) that have every cell, as (blocks, A, B)."""
    return table[~np.isnan(table).any(1)].reshape(-1, *(len(levels) for levels in design.levels.values()))


def _contrasts(design, scores, *, parts, analysis, right):
    """(differences of gains, gains), frames of `contrast_tests`; the first with the further columns that `decide` needs."""
    contrasts = differences_of_gains(design, parts)
    differences = contrast_tests(scores["outcome"], contrasts, analysis, right)
    for scale in ("clean", "logit"):
        differences[scale] = pd.DataFrame(per_block(scores[scale], contrasts)).mean()
    treatments = gains(design, parts)
    single = contrast_tests(scores["outcome"], treatments, analysis, right)
    gain = {(c.treatment, c.level): estimate for c, estimate in zip(treatments, single["estimate"])}
    reference = level_name(parts.other, parts.reference)
    differences["treatment"] = [c.treatment for c in contrasts]
    differences["level"] = [c.level for c in contrasts]
    differences["gain"] = [gain[c.treatment, c.level] for c in contrasts]
    differences["reference_gain"] = [gain[c.treatment, reference] for c in contrasts]
    return differences, single


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
        f"Two-way analysis of variance of the {seeds} seeds that have every cell, with seeds as complete blocks. Standard deviation "
        f"between seeds {percent(anova.sd_block)} points, within a seed (residual) {percent(anova.sd_residual)} points.",
        "The row of both axes is the interaction: a small p means that the effect of one axis depends on the other. Partial omega² is the "
        "share of variance that an effect explains, other effects left out.",
    )
    return Finding("Analysis of variance", text, pd.DataFrame(rows))


def _robustness(design, scores, analysis):
    """The interaction test again: without its assumptions, on all runs, and on other scales."""
    y = complete(design, scores["outcome"])
    anova = two_way(y)
    f, p = float(anova.f["ab"]), float(anova.p["ab"])
    tests = {
        "F test": (f, p),
        f"permutation within seeds ({analysis.resamples:,})": (f, permutation_p(y, analysis.resamples, np.random.default_rng(0))),
        "aligned rank transform": aligned_ranks(y),
        "REML mixed model, all runs": mixed_model(scores["outcome"], *y.shape[1:]),
        "F test on the logit scale": _interaction(design, scores["logit"]),
        "F test on clean images": _interaction(design, scores["clean"]),
    }
    table = pd.DataFrame([{"test of the interaction": name, "F": number(f), "p": p_value(p)} for name, (f, p) in tests.items()])
    checks = residual_checks(y)
    bf = float(bayes_factor(anova, y.size))
    logit_p = tests["F test on the logit scale"][1]
    text = [
        "The conclusion is safe if these tests agree: each of them needs other assumptions than the F test.",
        f"Assumptions of the F test: equal spread in all cells, Levene's test p {equals(checks.levene)}; normal residuals, Shapiro-Wilk "
        f"test p {equals(checks.shapiro)}, correlation with normal quantiles {number(checks.qq, 3)}. A small p speaks against it.",
        f"Bayes factor BF01 = {bf:.3g} (from BIC): above 1 the data favour no interaction, below 1 they favour one.",
    ]
    if p < analysis.alpha <= logit_p:
        text.append("The interaction depends on the scale: it is significant in percent but not on the logit scale.")
    return Finding("Checks of the interaction test", tuple(text), table)


def _interaction(design, table):
    y = complete(design, table)
    if len(y) < 2:
        return np.nan, np.nan
    anova = two_way(y)
    return float(anova.f["ab"]), float(anova.p["ab"])


def _nonadditivity(design, table):
    means = pd.DataFrame(table).mean().to_numpy().reshape([len(levels) for levels in design.levels.values()])
    f, df, p = tukey_nonadditivity(means)
    sentence = f"Tukey's test of non-additivity on the means of the cells, descriptive: F(1, {df}) = {number(f)}, p {equals(p)}."
    if np.isnan(p):
        sentence = "Tukey's test of non-additivity needs a larger table, and one that is not exactly additive."
    return Finding("Interaction, descriptive", ("Fewer than two seeds have every cell: no test is possible.", sentence))


def _differences(frame, parts, right):
    treated, other = axis_word(parts.treated), axis_word(parts.other)
    reference = level_name(parts.other, parts.reference)
    text = [
        f"How much more {treated} gains with each {other} than with {reference}, in points, paired by seed. A gain is measured from "
        f"{level_name(parts.treated, parts.base)}."
    ]
    if frame["p"].notna().any():
        text += [
            f"{ADJUSTED} Equivalence p: of two one-sided t tests; if it is small, the difference is smaller than the smallest of interest.",
            "Intervals and p here and below hold for other seeds and other images: the standard error is that of both (two-way variance)."
            if right is not None
            else "Intervals and p here and below are over seeds alone.",
        ]
    rows = {
        "difference of gains": frame["name"],
        **contrast_columns(frame, "points"),
        "equivalence p": frame["equivalence_p"].map(p_value),
        "on clean images": frame["clean"].map(points),
        "logit": frame["logit"].map(number),
    }
    return Finding("Differences of gains", tuple(text), pd.DataFrame(rows))


def _on_clean_images(frame):
    return frame.assign(name=frame["name"] + ", clean images")


def _gains(frame, spared, parts):
    """frame: of all images; spared: of the images without a twin, None if the runs have no score on these"""
    treated, base = axis_word(parts.treated), level_name(parts.treated, parts.base)
    text = [f"What {treated} gains over {base}, in points, paired by seed.", *[ADJUSTED] * bool(frame["p"].notna().any())]
    rows = {"gain": frame["name"], "seeds": frame["n"], **contrast_columns(frame, "points")}
    if spared is not None:
        rows |= {f"clean: {title}": column for title, column in contrast_columns(spared, "points").items()}
        text.append("Clean: on images without a twin in training or validation. A gain that these do not show is memory of twins.")
    return Finding(f"Gain of {parts.treated}", tuple(text), pd.DataFrame(rows))
