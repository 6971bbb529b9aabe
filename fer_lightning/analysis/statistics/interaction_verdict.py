"""The one word about an interaction: synergy, additive or inconclusive, and the sentence that says why."""

from typing import NamedTuple

import numpy as np

from fer_lightning.analysis.wording import equals, listed, percent, points


class Verdict(NamedTuple):
    """word: None where a study has no two crossed axes, and so no interaction to judge"""

    word: str | None
    sentence: str


def decide(interaction_p, gains, analysis, remedy=""):
    """The Verdict on an interaction.

    interaction_p: of the F test
    gains:  a row for each difference of two gains: name, estimate, p_holm, low, high, equivalence_p; clean, logit: the same difference on
            clean pictures and on the logit scale, of which only the sign counts
    remedy: a sentence on how many seeds would settle it, where seeds are what is missing

    Synergy needs all of: a significant F test; a difference of gains whose Holm-adjusted interval excludes 0 and that is at least the
    smallest of interest; the same sign of it on clean pictures and on the logit scale; a learning rate tuned per cell. Additive: every
    difference of gains is equivalent to none (two one-sided tests each; none is adjusted, because all must pass: Berger 1982).
    """
    margin = f"{percent(analysis.sesoi)} points"
    shown = gains[(gains["p_holm"] < analysis.alpha) & ((gains["low"] > 0) | (gains["high"] < 0))]
    large = shown[shown["estimate"].abs() >= analysis.sesoi]
    sign = np.sign(large["estimate"])
    firm = large[(np.sign(large["clean"]) == sign) & (np.sign(large["logit"]) == sign)]
    seeds, other = [], []
    if not interaction_p < analysis.alpha:
        seeds.append(f"the F test of the interaction has p {equals(interaction_p)}")
    if not len(shown):
        seeds.append("no difference of gains has an interval without 0")
    elif not len(large):
        other.append(f"none of the differences of gains that are shown reaches {margin}")
    elif not len(firm):
        other.append(f"{listed(large['name'])} has not been shown to have the same sign on clean pictures and on the logit scale")
    if not analysis.tuned_per_cell:
        other.append("the learning rate was not tuned in every cell (study.analysis.tuned_per_cell=false)")
    if not seeds + other:
        found = (f"{row.name} {points(row.estimate)} points (Holm-adjusted p {equals(row.p_holm)})" for row in firm.itertuples(index=False))
        return Verdict(
            "synergy",
            f"Synergy: the F test of the interaction has p {equals(interaction_p)}, and gains differ by at least {margin}, with the same "
            f"sign on clean pictures and on the logit scale: {listed(found)}.",
        )
    apart = gains[~(gains["equivalence_p"] < analysis.alpha)]
    if len(gains) and not len(apart):
        tests = f"equivalence tests, largest p {equals(gains['equivalence_p'].max())}"
        return Verdict("additive", f"Additive: every difference of gains lies within ±{margin} ({tests}).")
    synergy = f"Synergy is not shown: {'; '.join(seeds + other)}."
    additive = f"Equivalence within ±{margin} is not shown for {listed(apart['name'])}."
    return Verdict("inconclusive", " ".join(filter(None, ["Inconclusive.", synergy, additive, remedy if seeds else ""])))
