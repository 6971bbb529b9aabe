"""The verdict on an interaction: synergy, additive or inconclusive, with the paragraph that explains it."""

from typing import NamedTuple

import numpy as np

from fer_lightning.analysis.finding import Verdict
from fer_lightning.analysis.wording import axis_word, equals, listed, percent, points, points_interval
from fer_lightning.config.cell_names import level_name

UNTUNED = "the learning rate was not tuned in every cell (study.analysis.tuned_per_cell=false)"
GAINS = ("estimate", "p_holm", "equivalence_p", "clean", "logit")
TUNED, SWEPT = "the learning rate was tuned in every cell", "the learning rate is one of the two axes"
MOST_NAMED = 6  # differences of gains in a paragraph; the table has all
TUNE = "Either word, synergy or additive, also needs a learning rate tuned in every cell (study.analysis.tuned_per_cell=true)."


class Conditions(NamedTuple):
    """Which conditions hold: interaction (...), the F test's; of each difference of gains (..., differences): significant; large too; firm,
    with the same sign on clean images and on the logit scale too; equivalent to 0
    """

    interaction: np.ndarray
    significant: np.ndarray
    large: np.ndarray
    firm: np.ndarray
    equivalent: np.ndarray

    def words(self, tuned):
        """The word (...) for each study."""
        synergy = self.interaction & self.firm.any(-1) & tuned
        additive = self.equivalent.all(-1) & (self.equivalent.shape[-1] > 0) & tuned
        return np.select([synergy, additive], ["synergy", "additive"], "inconclusive")


def conditions(interaction_p, gains, analysis):
    """The Conditions of one study or of many at once.

    interaction_p: (...); gains: {estimate, p_holm, equivalence_p, clean, logit: (..., differences)}
    """
    sign = np.sign(gains["estimate"])
    significant = gains["p_holm"] < analysis.alpha
    large = significant & (np.abs(gains["estimate"]) >= analysis.sesoi)
    firm = large & (np.sign(gains["clean"]) == sign) & (np.sign(gains["logit"]) == sign)
    return Conditions(interaction_p < analysis.alpha, significant, large, firm, gains["equivalence_p"] < analysis.alpha)


def rate_known(analysis, axes):
    """Why no unsuitable learning rate can be behind the verdict on two axes, as a clause; "" if one can."""
    swept = any(axis.rpartition(".")[2] == "lr" for axis in axes)
    return SWEPT if swept else TUNED if analysis.tuned_per_cell else ""


def decide(interaction_p, gains, roles, analysis, *, remedy="", left_out=""):
    """The Verdict on an interaction.

    interaction_p: of the F test
    gains:  a row for each difference of two gains: treatment, level, estimate, p_holm, low, high, equivalence_p; gain, reference_gain: the
            two; clean, logit: the same difference on clean images and on the logit scale, of which only the sign counts
    roles:  which axis is the treatment, and which one its gain may depend on
    remedy: a sentence on how many seeds would settle it, said if seeds are what is missing
    left_out: a sentence on seeds that the tests leave out

    Synergy needs all of: a significant F test; a difference of gains whose Holm-adjusted p is significant, so that its interval excludes 0,
    and whose estimate is at least the smallest of interest; the same sign of it on clean images and on the logit scale; a learning rate
    tuned in every cell. Additive: every difference of gains is equivalent to 0 (two one-sided tests each; unadjusted, because all must
    pass: Berger 1982), and the rate was tuned: a wrong rate can hide an interaction as well as make one.
    """
    met = conditions(interaction_p, {name: gains[name].to_numpy(float) for name in GAINS}, analysis)
    rate = rate_known(analysis, (roles.treated, roles.other))
    word = str(met.words(bool(rate)))
    significant, large, firm, apart = gains[met.significant], gains[met.large], gains[met.firm], gains[~met.equivalent]
    enough_seeds = met.interaction and len(significant) > 0

    subject, other, reference = _subject(gains, roles), axis_word(roles.other), level_name(roles.other, roles.reference)
    margin = f"{percent(analysis.sesoi)} points"
    seen = " ".join(filter(None, (_seen(interaction_p, gains, reference, analysis), left_out)))
    if word == "synergy":
        same = f"The sign is the same on clean images and on the logit scale, and {rate}."
        return Verdict("synergy", f"Synergy: {_claim(firm, reference)}.", f"{seen} {same}")
    if word == "additive":
        conclusion = f"Additive: {subject} changes accuracy equally with every {other}, to within ±{margin}."
        tests = f"Every difference of gains lies within ±{margin} (equivalence tests, largest p {equals(gains['equivalence_p'].max())})."
        return Verdict("additive", conclusion, f"{tests} {seen}")

    if len(gains) and not len(apart):
        doubt = f"{subject} changes accuracy equally with every {other}, to within ±{margin}, but {UNTUNED}, which may hide a difference"
    elif not enough_seeds:
        doubt = f"the data do not show that {subject} helps one {other} more than another, nor that it helps all equally"
    elif not len(large):
        doubt = f"{_claim(significant, reference)}, but the data do not show that the difference reaches {margin}, the smallest of interest"
    elif not len(firm):
        doubt = f"{_claim(large, reference)}, but the data do not show the same sign on clean images and on the logit scale"
    else:
        doubt = f"{_claim(firm, reference)}, but {UNTUNED}, so the rate may be the cause"
    if len(apart):
        which = listed(_labels(apart, gains)) if len(apart) <= MOST_NAMED else f"{len(apart)} of the {len(gains)} differences"
        seen += f" Equality within ±{margin} is not shown for {which}."
    settle = [remedy] * (not enough_seeds and len(apart) > 0) + [TUNE] * (not rate)
    return Verdict("inconclusive", f"Inconclusive: {doubt}.", seen, " ".join(filter(None, settle)))


def untested(reason, roles, settle=""):
    """The Verdict of a grid that allows no test of the interaction. reason: why."""
    question = f"whether the gain from {axis_word(roles.treated)} depends on the {axis_word(roles.other)}"
    return Verdict("inconclusive", f"Inconclusive: the data cannot show {question}, because {reason}.", "", settle)


def _subject(gains, roles):
    """What is changed: the treatment, or its axis if there are several treatments."""
    treatments = gains["treatment"].unique()
    return treatments[0] if len(treatments) == 1 else axis_word(roles.treated)


def _claim(rows, reference):
    """In words, which levels gain more or less than the reference: "bn instead of none helps gelu more than relu"."""
    levels = {}
    for row in rows.itertuples(index=False):
        helps = max(row.gain, row.reference_gain) >= 0
        more = (row.estimate > 0) == helps
        levels.setdefault((row.treatment, "helps" if helps else "harms", "more" if more else "less"), []).append(row.level)
    return listed(f"{treatment} {verb} {listed(names)} {degree} than {reference}" for (treatment, verb, degree), names in levels.items())


def _seen(interaction_p, gains, reference, analysis):
    """Sentences on the F test and on each difference of gains; of many on the largest of those that differ from 0."""
    level = f"{percent(1 - analysis.alpha, 0)} %"
    within = (gains["low"] <= 0) & (gains["high"] >= 0)
    many = len(gains) > MOST_NAMED
    named = gains[~within].sort_values("estimate", key=abs, ascending=False).head(MOST_NAMED) if many else gains
    rows = [
        f"{points(row.estimate)} points with {label}{f' ({bounds})' if (bounds := points_interval(row.low, row.high)) else ''}"
        for label, row in zip(_labels(named, gains), named.itertuples(index=False))
    ]
    every = f" Every {level} interval of a difference of gains includes 0." if len(gains) and within.all() else ""
    test = f"The F test of the interaction has p {equals(interaction_p)}."
    if many and not rows:
        return f"{test}{every}"
    how_many = f"in {(~within).sum()} of {len(gains)} cases, {'the largest ' if (~within).sum() > len(rows) else ''}" if many else ""
    return f"{test} Compared with {reference}, the gain differs {how_many}by {listed(rows)} (simultaneous {level} intervals).{every}"


def _labels(rows, gains):
    """Names of some rows of the gains: the level, with the treatment if there are several."""
    several = gains["treatment"].nunique() > 1
    return [f"{row.level} ({row.treatment})" if several else row.level for row in rows.itertuples(index=False)]
