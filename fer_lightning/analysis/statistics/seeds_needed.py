"""What a study can find with the seeds it has, and how many seeds would settle its question."""

from dataclasses import dataclass
from functools import partial

import pandas as pd
import scipy

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
        contrast = power.paired_power(gain, seeds, sd=self.sd, cells=4, alpha=self.alpha / self.contrasts)
        reaches = float(scipy.stats.norm.cdf((gain - self.sesoi) / (2 * self.sd / seeds**0.5)))
        return min(self.interaction(gain, seeds), contrast, reaches)

    def main_effect(self, axis, difference, seeds):
        (other,) = (name for name in self.axes if name != axis)
        return power.main_effect_power(difference, seeds, sd=self.sd, a=self.axes[axis], b=self.axes[other], alpha=self.alpha)

    def pair(self, difference, seeds):
        return power.paired_power(difference, seeds, sd=self.sd, cells=2, alpha=self.alpha)

    def equivalence(self, margin, seeds):
        return power.equivalence_power(margin, seeds, sd=self.sd, contrasts=self.contrasts, alpha=self.alpha)


def seeds_for_interaction(studies, axis):
    """A sentence on the seeds that would decide between synergy and additivity.

    studies: the StudyPower of the measured residual; without repeats, those of the least and of the greatest residual to expect
    axis:    whose levels may gain differently
    """
    sesoi, equal = studies[0].sesoi, ""
    found = " to ".join(_seeds(study.synergy, 2 * sesoi) for study in studies)
    if len(studies) == 1:
        equivalence = _seeds(studies[0].equivalence, sesoi)
        equal = f"; {equivalence} seeds to show that all gain the same to ±{percent(sesoi)} points, if they do"
    return (
        f"What would settle it ({_basis([study.sd for study in studies])}): {found} seeds to show that one {axis_word(axis)} gains "
        f"{percent(2 * sesoi)} points more than another, if it does{equal}."
    )


def seeds_for_pairs(sd, comparisons, analysis):
    """A sentence on the seeds that would show a difference between the first cell and another.

    sd: of the residual as a fraction, NaN if not measured; comparisons: the number of cells compared with the first
    """
    deviations = [sd] if sd > 0 else TYPICAL_SD
    powers = [partial(power.paired_power, sd=each, cells=2, alpha=analysis.alpha / comparisons) for each in deviations]
    found = " to ".join(_seeds(each, analysis.sesoi) for each in powers)
    return (
        f"What would settle it ({_basis(deviations)}): {found} seeds to show a difference of {percent(analysis.sesoi)} points from the "
        "first cell, if there is one."
    )


def _basis(deviations):
    """What a number of seeds is computed from: the measured residual, or the least and the greatest to expect."""
    if len(deviations) == 1:
        return f"80 % power, residual standard deviation of {percent(deviations[0])} points as measured here"
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
