"""What a study can find with the seeds it has, and how many seeds would settle its question."""

from dataclasses import dataclass
from functools import partial

import numpy as np
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
    floor, pair_floor: standard errors that the images alone give a difference of gains and a difference of two cells; 0 if not known
    images: how many there are
    """

    sd: float
    axes: dict
    contrasts: int
    alpha: float
    sesoi: float
    floor: float = 0.0
    pair_floor: float = 0.0
    images: float = np.nan

    def interaction(self, gain, seeds):
        a, b = self.axes.values()
        return power.interaction_power(gain, seeds, sd=self.sd, a=a, b=b, alpha=self.alpha)

    def synergy(self, gain, seeds):
        """Of the verdict, if one level gains `gain` more: its F test, its Holm-adjusted contrast, and an estimate of at least sesoi.

        The smallest of the three, which go together.
        """
        contrast = power.paired_power(gain, seeds, sd=self.sd, cells=4, floor=self.floor, alpha=self.alpha / self.contrasts)
        error = power.standard_error(seeds, sd=self.sd, cells=4, floor=self.floor)
        reaches = float(scipy.stats.norm.cdf((gain - self.sesoi) / error))
        return min(self.interaction(gain, seeds), contrast, reaches)

    def main_effect(self, axis, difference, seeds):
        (other,) = (name for name in self.axes if name != axis)
        return power.main_effect_power(difference, seeds, sd=self.sd, a=self.axes[axis], b=self.axes[other], alpha=self.alpha)

    def pair(self, difference, seeds):
        return power.paired_power(difference, seeds, sd=self.sd, cells=2, floor=self.pair_floor, alpha=self.alpha)

    def equivalence(self, margin, seeds):
        return power.equivalence_power(margin, seeds, sd=self.sd, contrasts=self.contrasts, floor=self.floor, alpha=self.alpha)


def seeds_for_interaction(studies, axis):
    """Sentences on the seeds that would decide between synergy and additivity, and on the floor that the images set.

    studies: the StudyPower of the measured residual; without repeats, those of the least and of the greatest residual to expect
    axis:    whose levels may gain differently
    """
    sesoi, equal = studies[0].sesoi, ""
    found = _seeds([study.synergy for study in studies], 2 * sesoi, studies[0].images)
    if len(studies) == 1:
        equivalence = _seeds([studies[0].equivalence], sesoi, studies[0].images)
        equal = f"; {equivalence} to show that all gain the same to ±{percent(sesoi)} points, if they do"
    floor = images_floor(studies[0]) if len(studies) == 1 else ""
    return (
        f"What would settle it ({_basis([study.sd for study in studies], studies[0].floor)}): {found} to show that one {axis_word(axis)} "
        f"gains {percent(2 * sesoi)} points more than another, if it does{equal}.{floor and f' {floor}'}"
    )


def images_floor(study):
    """A sentence on the error that no number of seeds takes away; empty if it is not known."""
    if not study.floor > 0:
        return ""
    return (
        f"The images set a floor: with any number of seeds a difference of gains has a standard error of at least {percent(study.floor)} "
        f"points on {study.images:,.0f} images."
    )


def seeds_for_pairs(sd, comparisons, analysis, *, floor=0.0, images=np.nan):
    """A sentence on the seeds that would show a difference between the first cell and another.

    sd: of the residual as a fraction, NaN if not measured; comparisons: the number of cells compared with the first
    floor: standard error that so many images alone give such a difference
    """
    deviations = [sd] if sd > 0 else TYPICAL_SD
    powers = [partial(power.paired_power, sd=each, cells=2, floor=floor, alpha=analysis.alpha / comparisons) for each in deviations]
    found = _seeds(powers, analysis.sesoi, images)
    return (
        f"What would settle it ({_basis(deviations, floor)}): {found} to show a difference of {percent(analysis.sesoi)} points from the "
        "first cell, if there is one."
    )


def _basis(deviations, floor):
    """What a number of seeds is computed from: the measured residual and images, or the least and the greatest residual to expect."""
    if len(deviations) == 1:
        images = " and the variance between images" if floor > 0 else ""
        return f"80 % power, residual standard deviation of {percent(deviations[0])} points{images} as measured here"
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
        {"effect": name, f"found with {seeds} seeds (points)": _effect(power.smallest_effect(of, study.sd, seeds))}
        | {f"seeds for {percent(size)} points": _number(power.seeds_needed(of, size)) for size in (study.sesoi, 2 * study.sesoi)}
        for name, of in effects.items()
    ]
    text = (
        f"The smallest effect that {seeds} seeds find with 80 % power at p < {study.alpha:g}, and the seeds that two effects need. "
        f"Computed from the measured residual standard deviation of {percent(study.sd)} points (noncentral F and t distributions). F tests "
        "hold for these images; all else " + ("for other images too." if study.floor > 0 else "does not know how images vary either."),
        f"Synergy requires an estimate of at least {percent(study.sesoi)} points. If the true difference is exactly that, half of all "
        "studies estimate less, however many seeds they have.",
    )
    return Finding("Power of this study", tuple(filter(None, (*text, images_floor(study)))), pd.DataFrame(rows))


def _effect(effect):
    """The smallest effect that is found, in points: none is larger than all images."""
    return percent(effect) if effect <= 1 else "more than 100"


def _seeds(powers, effect, images):
    """How many seeds an effect needs, "12 seeds"; for several powers the least and the most."""
    found = [power.seeds_needed(of, effect) for of in powers]
    if set(found) == {np.inf}:
        return f"no number of seeds on {images:,.0f} images is enough" if images > 0 else "no number of seeds is enough"
    return f"{' to '.join(map(_number, found))} seeds"


def _number(found):
    return "no number" if found == np.inf else f"{found:,}" if found else f"more than {power.MOST_SEEDS:,}"
