"""What is found where the cells are taken as they are, not as crossed axes: which is first, and which cannot be told from it."""

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.contrasts import against
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.interaction_verdict import Verdict
from fer_lightning.analysis.statistics.paired_tests import compare
from fer_lightning.analysis.statistics.rank_tests import friedman, pairwise
from fer_lightning.analysis.wording import equals, listed, number, p_value, percent, points, points_interval


def ranked_findings(design, scores, analysis, pictures):
    """(Verdict, [Finding], {kind: frame of `compare`}) of any study; cells without a run are left out.

    scores: {outcome, validation: (blocks, cells)}; pictures: see `compare`.
    """
    means = pd.DataFrame(scores["outcome"]).mean()
    present = means.dropna().sort_values(ascending=False, kind="stable").index.to_list()
    if len(present) < 2:
        return Verdict(None, "One cell: there is nothing to compare it with."), [], {}
    first, _ = leader(scores)
    frame = compare(scores["outcome"], against(design, design.cells[first], [design.cells[i] for i in present]), analysis, pictures)
    table = scores["outcome"][:, present]
    y = table[~np.isnan(table).any(1)]
    ranks = friedman(y, analysis.alpha)
    verdict = Verdict(None, _conclusion(design.name(design.cells[first]), frame, analysis))
    names = [design.name(design.cells[i]) for i in present]
    shown = pd.DataFrame({"cell": names, "mean %": means[present].map(percent).to_list(), "average rank": [number(r) for r in ranks.mean]})
    differences = pd.DataFrame(
        {
            "cell": frame["name"],
            "over the first (points)": frame["estimate"].map(points),
            "interval": [points_interval(*bounds) for bounds in frame[["low", "high"]].to_numpy()],
            "p (Holm)": frame["p_holm"].map(p_value),
        }
    )
    text = (verdict.sentence, *_tests(y, ranks, analysis), _pairs(table, names, analysis))
    return verdict, [Finding("Ranking", text, shown.merge(differences, on="cell", how="left").fillna(""))], {"first": frame}


def leader(scores):
    """(position of the first cell, by what): by validation where there is one, so that the test part judges it and does not choose it."""
    means = pd.DataFrame(scores["outcome"]).mean()
    validation = pd.DataFrame(scores["validation"]).mean().where(means.notna())
    if validation.notna().any():
        return int(validation.idxmax()), "validation"
    return int(means.idxmax()), "the tested score itself, which flatters it"


def _conclusion(first, frame, analysis):
    if frame["p_holm"].isna().all():
        return "Without two seeds in common, and a difference between them, no test of the cells is possible."
    known = frame[frame["p_holm"].notna()]
    differs = known["p_holm"] < analysis.alpha
    groups = {
        f"Not told apart from {first}, the first": known["name"][~differs],
        f"Lower than {first}": known["name"][differs & (known["estimate"] < 0)],
        f"Higher than {first}": known["name"][differs & (known["estimate"] > 0)],
        "Not tested, for want of seeds": frame["name"][frame["p_holm"].isna()],
    }
    return " ".join(f"{title}: {listed(names)}." for title, names in groups.items() if len(names))


def _tests(y, ranks, analysis):
    """Sentences on whether the cells differ at all, from the blocks that have every cell."""
    if len(y) < 2:
        return ["Fewer than two seeds have every cell: no test of all cells is possible."]
    anova = two_way(y[..., None])
    sentences = [
        f"Analysis of variance with {len(y)} seeds as blocks: F({anova.df['a']}, {anova.df['residual']}) = {number(anova.f['a'])}, "
        f"p {equals(anova.p['a'])}, partial omega² {number(anova.omega['a'])}; standard deviation between seeds {percent(anova.sd_block)} "
        f"points, within a seed {percent(anova.sd_residual)} points."
    ]
    if not np.isnan(ranks.p):
        sentences.append(
            f"Friedman's test on ranks: chi² = {number(ranks.chi2)}, p {equals(ranks.p)}; average ranks that differ by less than "
            f"{number(ranks.distance)} cannot be told apart (Nemenyi, alpha {analysis.alpha:g})."
        )
    return sentences


def _pairs(table, names, analysis):
    difference, p = pairwise(table)
    i, j = np.nonzero(np.triu(p < analysis.alpha))
    count = len(names) * (len(names) - 1) // 2
    apart = [f"{names[a]} above {names[b]}" if difference[a, b] > 0 else f"{names[b]} above {names[a]}" for a, b in zip(i, j)]
    found = f": {'; '.join(apart[:12])}{'; ...' if len(apart) > 12 else ''}" if apart else ""
    return f"Of all {count:,} pairs, {len(apart):,} differ (paired t tests, Holm-adjusted over all pairs){found}."
