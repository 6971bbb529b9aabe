"""A paragraph of methods and one of results, to paste into a paper."""

import numpy as np

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.interaction_verdict import rate_known
from fer_lightning.analysis.statistics.two_axes import complete
from fer_lightning.analysis.wording import equals, listed, number, percent, percent_interval, seeds_text


def paper_finding(design, scores, cells, *, verdict, analysis, common):
    """The Finding with both paragraphs; None with fewer than two seeds, which allow no test.

    cells: of `describe_cells`; common: whether all runs were scored on the same images
    """
    if len(design.blocks) < 2 or len(design.cells) < 2:
        return None
    methods = _methods(design, scores, cells, verdict=verdict, analysis=analysis, common=common)
    return Finding("For a paper", (methods, _results(design, scores, cells, verdict)))


def _methods(design, scores, cells, *, verdict, analysis, common):
    least, most = cells["n"].min(), cells["n"].max()
    seeds = seeds_text(most) if least == most else f"{least} to {seeds_text(most)}"
    axes = listed(f"{axis} ({listed(levels)})" for axis, levels in design.levels.items())
    part = {"test": "test", "val": "validation"}[design.part]
    images = np.nanmax(scores["images"], initial=0)
    error = (
        "standard errors are those of a two-way layout of seeds and test images, both random (Cameron, Gelbach and Miller 2011), so that "
        "tests and intervals hold for other seeds and other images"
        if common
        else "standard errors are over seeds"
    )
    sentences = [
        f"Methods. We varied {axes}: {len(design.cells)} cells, each trained with {seeds}. Runs of one seed share "
        f"data order, augmentation and, as far as their networks allow, initial weights, so seeds are complete blocks. The outcome is the "
        f"{part} accuracy{f' on {images:,.0f} images' if images else ''}. The analysis was fixed before the first run, with a level of "
        f"{analysis.alpha:g} and a smallest effect of interest of {percent(analysis.sesoi)} percentage points.",
        f"Differences were tested by t tests paired by seed; {error}; p values are adjusted by Holm's (1979) method, and the intervals are "
        "simultaneous.",
    ]
    if verdict.word:
        rate = rate_known(analysis, design.levels) or "the learning rate was not tuned in every cell"
        sentences += [
            "The interaction was tested by a two-way analysis of variance with seeds as blocks. Synergy was to be concluded from a "
            "significant interaction together with a significant difference of gains of at least the smallest effect of interest, with the "
            "same sign without duplicated images and on the logit scale; additivity if two one-sided tests (Schuirmann 1987) showed every "
            f"difference of gains to be smaller than that. {rate[0].upper()}{rate[1:]}."
        ]
    return " ".join(sentences)


def _results(design, scores, cells, verdict):
    known = cells[cells["n"] > 0]
    ends = []
    for place in (known["mean"].idxmin(), known["mean"].idxmax()):
        row = cells.loc[place]
        interval = percent_interval(row["low"], row["high"])
        ends.append(f"{percent(row['mean'])} % ({design.name(design.cells[place])}{f'; 95 % interval {interval}' if interval else ''})")
    sentences = [f"Results. Mean accuracy over seeds ranged from {ends[0]} to {ends[1]}."]
    if verdict.word and not np.isnan(scores["outcome"]).all(0).any() and len(y := complete(design, scores["outcome"])) > 1:
        anova = two_way(y)
        if not np.isnan(anova.p["ab"]):
            sentences.append(
                f"Interaction: F({anova.df['ab']}, {anova.df['residual']}) = {number(anova.f['ab'])}, p {equals(float(anova.p['ab']))}, "
                f"partial omega² = {number(anova.omega['ab'])}; residual standard deviation {percent(anova.sd_residual)} points."
            )
    return " ".join([*sentences, verdict.conclusion, verdict.seen]).strip()
