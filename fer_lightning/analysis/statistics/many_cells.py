"""Cells compared as one factor, not as crossed axes: which is first, and which differ from it."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding, Verdict
from fer_lightning.analysis.statistics.contrasts import against, per_block
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.paired_tests import contrast_tests, mean_floor
from fer_lightning.analysis.statistics.rank_tests import friedman, pairwise
from fer_lightning.analysis.statistics.seeds_needed import seeds_for_pairs
from fer_lightning.analysis.wording import ADJUSTED, contrast_columns, equals, listed, number, percent, points, points_interval


def ranked_findings(design, scores, analysis, right):
    """(Verdict, [Finding], {kind: frame of `contrast_tests`}) of any study; cells without a run are left out.

    scores: {outcome, clean, validation: (blocks, cells)}; right: see `contrast_tests`
    """
    means = pd.DataFrame(scores["outcome"]).mean()
    present = means.dropna().sort_values(ascending=False, kind="stable").index.to_list()
    if len(present) < 2:
        return Verdict(None, "Only one cell has a score, so there is nothing to compare it with."), [], {}
    leads = leader(scores)
    first = leads.first
    contrasts = against(design, design.cells[first], [design.cells[i] for i in present])
    frame = contrast_tests(scores["outcome"], contrasts, analysis, right)
    table = scores["outcome"][:, present]
    complete = table[~np.isnan(table).any(1)]
    anova = two_way(complete[..., None]) if len(complete) > 1 else None
    sd = np.nan if anova is None else float(anova.sd_residual)
    images = np.nanmax(scores["images"], initial=0)
    settle = seeds_for_pairs(sd, len(frame), analysis, floor=mean_floor(frame), images=images)
    name = f"{design.name(design.cells[first])} (first by {leads.how}{leads.tie(design)})"
    verdict = _verdict(name, frame, analysis, seeds=len(design.blocks), settle=settle)
    names = [design.name(design.cells[i]) for i in present]
    ranks = friedman(complete, analysis.alpha)
    shown = pd.DataFrame({"cell": names, "mean %": means[present].map(percent).to_list(), "average rank": [number(r) for r in ranks.mean]})
    differences = pd.DataFrame({"cell": frame["name"], **contrast_columns(frame, "minus the first (points)")})
    differences["on clean images"] = pd.DataFrame(per_block(scores["clean"], contrasts)).mean().map(points)
    adjusted = [ADJUSTED] if frame["p"].notna().any() else []
    text = (verdict.conclusion, *_tests(anova, ranks, len(complete), analysis), *_pairs(table, names, analysis), *adjusted)
    return verdict, [Finding("Ranking", text, shown.merge(differences, on="cell", how="left").fillna(""))], {"first": frame}


class Leader(NamedTuple):
    """first: position of the first cell; tied: of the others whose mean is the same; how: by what they are ordered"""

    first: int
    tied: list
    how: str

    def tie(self, design):
        return f", tied with {listed(design.name(design.cells[i]) for i in self.tied)}" if self.tied else ""


def leader(scores):
    """The Leader of a study: by validation if it is known, so that the test part does not choose the first."""
    means = pd.DataFrame(scores["outcome"]).mean()
    validation = pd.DataFrame(scores["validation"]).mean().where(means.notna())
    known = validation.notna().any()
    means = validation if known else means
    first, *tied = np.flatnonzero(np.isclose(means, means.max(), rtol=0, atol=1e-12)).tolist()
    return Leader(first, tied, "validation accuracy" if known else "the tested score itself, which is then too high")


def _verdict(first, frame, analysis, *, seeds, settle):
    """The Verdict on the first cell.

    frame: of `contrast_tests`, each other cell minus the first; seeds: how many the study has; settle: what would settle the question
    """
    tested = frame[frame["p_holm"].notna()]
    untested = frame["name"][frame["p_holm"].isna()]
    if not len(tested):
        reason = "no test is possible without two seeds of each cell and scores that differ"
        return Verdict(None, f"The data do not show which cell is best: {reason}.", "", settle)
    differs = tested["p_holm"] < analysis.alpha
    lower, higher = (tested["name"][differs & (sign * tested["estimate"] > 0)] for sign in (-1, 1))
    same = tested["name"][~differs]
    found = [f"is better than {listed(lower)}"] if len(lower) else []
    found += [f"is worse than {listed(higher)}"] if len(higher) else []
    if found:
        doubt = f", but the data do not show that it differs from {listed(same)}" if len(same) else ""
        conclusion = f"{first} {' and '.join(found)}{doubt}."
    else:
        conclusion = f"The data do not show that {first} differs from {listed(same)}."
    rows = [f"{row.name} {points(row.estimate)} ({points_interval(row.low, row.high)})" for row in tested.itertuples(index=False)]
    level = percent(1 - analysis.alpha, 0)
    seen = f"Minus the first, in points, with simultaneous {level} % intervals: {listed(rows)}."
    least, most = int(tested["n"].min()), int(tested["n"].max())
    if least < seeds:
        seen += f" Compared over {least if least == most else f'{least} to {most}'} of {seeds} seeds: the others lack a run."
    if len(untested):
        seen += f" Not tested, because they share too few seeds with the first: {listed(untested)}."
    return Verdict(None, conclusion, seen, settle if len(same) or len(untested) else "")


def _tests(anova, ranks, seeds, analysis):
    """Sentences on whether the cells differ at all, from the blocks that have every cell. anova: None if they are fewer than two."""
    if anova is None:
        return ["Fewer than two seeds have every cell: no test of all cells is possible."]
    sentences = [
        f"Do the cells differ at all? Analysis of variance with {seeds} seeds as blocks: F({anova.df['a']}, {anova.df['residual']}) = "
        f"{number(anova.f['a'])}, p {equals(anova.p['a'])}, partial omega² {number(anova.omega['a'])}; standard deviation between seeds "
        f"{percent(anova.sd_block)} points, within a seed {percent(anova.sd_residual)} points."
    ]
    if not np.isnan(ranks.p):
        sentences.append(
            f"Friedman's test on ranks: chi² = {number(ranks.chi2)}, p {equals(ranks.p)}. Two cells differ only if their average ranks are "
            f"at least {number(ranks.distance)} apart (Nemenyi's test, alpha {analysis.alpha:g})."
        )
    return sentences


def _pairs(table, names, analysis):
    """Sentences on all pairs, over seeds alone; none if no pair can be tested, or if the table already has the only one."""
    difference, p = pairwise(table)
    if len(names) < 3 or np.isnan(p).all():
        return []
    i, j = np.nonzero(np.triu(p < analysis.alpha))
    count = len(names) * (len(names) - 1) // 2
    apart = [f"{names[a]} above {names[b]}" if difference[a, b] > 0 else f"{names[b]} above {names[a]}" for a, b in zip(i, j)]
    found = f": {'; '.join(apart[:12])}{'; ...' if len(apart) > 12 else ''}" if apart else ""
    return [f"Of all {count:,} pairs of cells, {len(apart):,} differ (t tests paired by seed, Holm-adjusted over all pairs){found}."]
