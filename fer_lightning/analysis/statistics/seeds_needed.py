"""What a study can find with the seeds it has, and how many seeds would settle its question."""

from dataclasses import dataclass
from functools import partial

import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics import power
from fer_lightning.analysis.wording import axis_word, percent

# How much repeats with other seeds vary if a study has not measured it, as fractions (Jordan 2023 gives 0.006 as the bound).
TYPICAL_SD = (0.003, 0.006)


@dataclass(frozen=True)
class StudyPower:
    """The power of a study's tests, with some number of seeds, to find an effect (a fraction, as sd is).

    sd: of the residual; axes: {name: number of levels}, two of them; contrasts: the number of differences of gains
    alpha, sesoi: as registered
    """

    sd: float
    axes: dict
    contrasts: int
    alpha: float
    sesoi: float

    def interaction(self, gain, seeds):
        a, b = self.axes.values()
        return power.interaction_power(gain, seeds, sd=self.sd, a=a, b=b, alpha=self.alpha)

    def synergy(self, gain, seeds):
        """Of the verdict, if one level gains `gain` more: its F test, its Holm-adjusted contrast, and an estimate of at least sesoi.

        The smallest of the three, which go together; the images are fixed.
        """
        from scipy import stats

        contrast = power.paired_power(gain, seeds, sd=self.sd, cells=4, alpha=self.alpha / self.contrasts)
        reaches = float(stats.norm.cdf((gain - self.sesoi) / (2 * self.sd / seeds**0.5)))
        return min(self.interaction(gain, seeds), contrast, reaches)

    def main_effect(self, axis, difference, seeds):
        (other,) = (name for name in self.axes if name != axis)
        return power.main_effect_power(difference, seeds, sd=self.sd, a=self.axes[axis], b=self.axes[other], alpha=self.alpha)

    def pair(self, difference, seeds):
        return power.paired_power(difference, seeds, sd=self.sd, cells=2, alpha=self.alpha)

    def equivalence(self, margin, seeds):
        return power.equivalence_power(margin, seeds, sd=self.sd, contrasts=self.contrasts, alpha=self.alpha)


def seeds_for_interaction(study, axis):
    """A sentence on the seeds that would decide between synergy and additivity. study: its StudyPower; axis: whose levels may differ."""
    synergy, equivalence = _seeds(study.synergy, 2 * study.sesoi), _seeds(study.equivalence, study.sesoi)
    word = axis_word(axis)
    return (
        f"What would settle it ({_measured(study.sd)}): {synergy} seeds to show that one {word} gains {percent(2 * study.sesoi)} points "
        f"more than another, if it does; {equivalence} seeds to show that all gain the same to ±{percent(study.sesoi)} points, if they do."
    )


def seeds_for_interaction_unmeasured(studies, axis):
    """The same for a study without repeats. studies: the StudyPower with the least and with the greatest residual to expect."""
    low, high = (_seeds(study.synergy, 2 * study.sesoi) for study in studies)
    return (
        f"What would settle it ({_usual(study.sd for study in studies)}): {low} to {high} seeds to show that one {axis_word(axis)} gains "
        f"{percent(2 * studies[0].sesoi)} points more than another, if it does."
    )


def seeds_for_pairs(sd, comparisons, analysis):
    """A sentence on the seeds that would show a difference between the first cell and another.

    sd: of the residual as a fraction, NaN if not measured; comparisons: the number of cells compared with the first
    """
    alpha = analysis.alpha / comparisons
    deviations = [sd] if sd > 0 else TYPICAL_SD
    found = [_seeds(partial(power.paired_power, sd=each, cells=2, alpha=alpha), analysis.sesoi) for each in deviations]
    return (
        f"What would settle it ({_measured(sd) if sd > 0 else _usual(TYPICAL_SD)}): {' to '.join(found)} seeds to show a difference of "
        f"{percent(analysis.sesoi)} points from the first cell, if there is one."
    )


def _measured(sd):
    return f"80 % power, residual standard deviation of {percent(sd)} points as measured here"


def _usual(deviations):
    least, most = (percent(sd, 1) for sd in deviations)
    return f"80 % power, if repeats vary by {least} to {most} points as is usual"


def power_finding(study, seeds):
    """The Finding on what these seeds find with 80 % power, and on the seeds for the smallest effect of interest and for twice that."""
    effects = {
        "interaction, F test: one level gains more": study.interaction,
        "synergy, all conditions: one level gains more": study.synergy,
        "equivalence of all gains: margin": study.equivalence,
        **{f"main effect of {axis}": partial(study.main_effect, axis) for axis in study.axes},
        "one pair of cells": study.pair,
    }
    rows = [
        {"effect": name, f"found with {seeds} seeds (points)": percent(power.smallest_effect(of, study.sd, seeds))}
        | {f"seeds for {percent(size)} points": _seeds(of, size) for size in (study.sesoi, 2 * study.sesoi)}
        for name, of in effects.items()
    ]
    text = (
        f"The smallest effect that {seeds} seeds find with 80 % power at p < {study.alpha:g}, and the seeds that two effects need. "
        f"Computed from the measured residual standard deviation of {percent(study.sd)} points (noncentral F and t distributions).",
        f"Synergy requires an estimate of at least {percent(study.sesoi)} points. If the true difference is exactly that, half of all "
        "studies estimate less, however many seeds they have.",
    )
    return Finding("Power of this study", text, pd.DataFrame(rows))


def _seeds(of, effect):
    found = power.seeds_needed(of, effect)
    return f"{found:,}" if found else f"more than {power.MOST_SEEDS:,}"
