"""What a grid of two axes can see with the seeds it has, and how many more would settle its question."""

from dataclasses import dataclass
from functools import partial

import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.statistics import power
from fer_lightning.analysis.wording import percent


@dataclass(frozen=True)
class Ability:
    """The power of a study's tests to find an effect (a fraction, as sd is) with so many seeds.

    sd: of the residual; axes: {name: number of levels}, two of them; contrasts: how many differences of gains there are
    alpha, sesoi: as registered
    """

    sd: float
    axes: dict
    contrasts: int
    alpha: float
    sesoi: float

    def interaction(self, gain, seeds):
        return power.interaction_power(gain, self.sd, seeds, *self.axes.values(), self.alpha)

    def synergy(self, gain, seeds):
        """Of the verdict, where one level gains `gain` more: its F test, its Holm-adjusted contrast, and an estimate of at least sesoi.

        The least of the three, which go together; pictures being the same.
        """
        from scipy import stats

        contrast = power.contrast_power(gain, self.sd, seeds, self.alpha / self.contrasts)
        reaches = float(stats.norm.cdf((gain - self.sesoi) / (2 * self.sd / seeds**0.5)))
        return min(self.interaction(gain, seeds), contrast, reaches)

    def main_effect(self, axis, difference, seeds):
        (other,) = (name for name in self.axes if name != axis)
        return power.main_effect_power(difference, self.sd, seeds, self.axes[axis], self.axes[other], self.alpha)

    def pair(self, difference, seeds):
        return power.pair_power(difference, self.sd, seeds, self.alpha)

    def equivalence(self, margin, seeds):
        return power.equivalence_power(margin, self.sd, seeds, self.contrasts, self.alpha)


def remedy(ability):
    """A sentence on the seeds that would decide between synergy and additivity."""
    found, none = _seeds(ability.synergy, 2 * ability.sesoi), _seeds(ability.equivalence, ability.sesoi)
    return (
        f"With a residual of {percent(ability.sd)} points, {found} seeds would show synergy where one level gains "
        f"{percent(2 * ability.sesoi)} points more (80 % power), and {none} would show equivalence where none does."
    )


def unmeasured(abilities):
    """The same for a study that has no repeats. abilities: with the least and the greatest residual to expect."""
    low, high = (_seeds(ability.synergy, 2 * ability.sesoi) for ability in abilities)
    least, most = (percent(ability.sd, 1) for ability in abilities)
    return (
        f"If repeats vary as elsewhere, by {least} to {most} points, {low} to {high} seeds would show synergy where one level gains "
        f"{percent(2 * abilities[0].sesoi)} points more (80 % power)."
    )


def ability_finding(ability, seeds):
    """What is found with 80 % power with these seeds, and the seeds for the smallest effect of interest and for twice that."""
    effects = {
        "interaction, F test: one level gains more": ability.interaction,
        "synergy, whole rule: one level gains more": ability.synergy,
        "equivalence of all gains: margin": ability.equivalence,
        **{f"main effect of {axis}": partial(ability.main_effect, axis) for axis in ability.axes},
        "one pair of cells": ability.pair,
    }
    rows = [
        {"effect": name, f"found with {seeds} seeds (points)": percent(power.detectable(of, ability.sd, seeds))}
        | {f"seeds for {percent(size)} points": _seeds(of, size) for size in (ability.sesoi, 2 * ability.sesoi)}
        for name, of in effects.items()
    ]
    text = (
        f"The smallest effects that {seeds} seeds find with 80 % power at p < {ability.alpha:g}, from the measured residual of "
        f"{percent(ability.sd)} points (noncentral F and t).",
        f"Synergy asks for an estimate of {percent(ability.sesoi)} points, which a true difference of just that size falls short of half "
        "the time, whatever the seeds.",
    )
    return Finding("What this study can see", text, pd.DataFrame(rows))


def _seeds(of, effect):
    found = power.seeds_needed(of, effect)
    return f"{found:,}" if found else f"more than {power.MOST_SEEDS:,}"
