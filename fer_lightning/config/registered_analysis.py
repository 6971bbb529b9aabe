"""The analysis that a study registers before its first run; study.json records it."""

from dataclasses import dataclass, field, fields
from typing import Any

from fer_lightning.process.errors import ConfigError, near

# More take minutes and change no digit that is shown; the number may come from a stranger's study.json.
MOST_RESAMPLES = 100_000

OUTCOMES = ("test_accuracy", "val_accuracy")


@dataclass
class Analysis:
    """outcome: the score that is tested; without a test part it is val_accuracy
    alpha: the level of every test; sesoi: the smallest interaction of interest, a fraction of the images
    resamples: permutations of the interaction test
    tuned_per_cell: whether each cell has its own learning rate, tuned with the same budget; otherwise nothing is called synergy or additive
    reference: {axis: level} of the cell with which the others are compared
    """

    outcome: str = "test_accuracy"
    alpha: float = 0.05
    sesoi: float = 0.005
    resamples: int = 10000
    tuned_per_cell: bool = False
    reference: dict[str, Any] = field(default_factory=dict)


def registered(study):
    """The Analysis of the study node of study.json, or the defaults if it has none. ConfigError for values that cannot be used."""
    node = study.get("analysis") or {}
    known = [f.name for f in fields(Analysis)]
    for key in node:
        if key not in known:
            raise ConfigError(f"study.analysis.{key}: there is no such key. {near(key, known)}")
        usual = getattr(Analysis(), key)
        if type(node[key]) is not type(usual) and not (isinstance(usual, float) and type(node[key]) is int):
            raise ConfigError(f"study.analysis.{key}={node[key]!r}: the type must be {type(usual).__name__}, as of {usual!r}.")
    analysis = Analysis(**node)
    if analysis.outcome not in OUTCOMES:
        raise ConfigError(f"study.analysis.outcome={analysis.outcome}: there is no such outcome. {near(analysis.outcome, OUTCOMES)}")
    if not 0 < analysis.alpha < 1:
        raise ConfigError(f"study.analysis.alpha={analysis.alpha}: the level of a test lies between 0 and 1, such as 0.05.")
    if not 0 < analysis.sesoi < 1:
        raise ConfigError(f"study.analysis.sesoi={analysis.sesoi}: a difference of accuracies as a fraction, such as 0.005 for 0.5 points.")
    if not 100 <= analysis.resamples <= MOST_RESAMPLES:
        raise ConfigError(f"study.analysis.resamples={analysis.resamples}: give 100 to {MOST_RESAMPLES}, 10000 are usual.")
    return analysis
