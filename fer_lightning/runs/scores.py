"""The scores of a run: what each is called, which way is better, and where it is shown.

A new score is a row here and a formula in `fer_lightning.model.metrics.score`; tables, tests, results.csv and boards follow.
"""

from dataclasses import dataclass

from fer_lightning.process.errors import ConfigError, near


@dataclass(frozen=True)
class Score:
    """name:    its key in result.json, in metrics.csv after the part (val/NAME), in results.csv after it too (test_NAME)
    title:   what a reader sees
    better:  max | min
    percent: whether it is a fraction of 1 and shown as a percentage; else it is shown as it is
    ranked:  heading of its test values in rankings, boards and lists of runs; empty: not shown there
    tested:  whether the report tests it beside the outcome
    of:      "part": computed for val and test, at every epoch for val, and so it can be monitored; "test": of the test part alone;
             "votes": of both parts if people's votes (FER+) are there
    """

    name: str
    title: str
    better: str
    percent: bool = False
    ranked: str = ""
    tested: bool = False
    of: str = "part"


SCORES = (
    Score("accuracy", "accuracy", "max", percent=True, ranked="test"),
    Score("accuracy_clean", "accuracy without twins", "max", percent=True, ranked="test clean", of="test"),
    Score("accuracy_clean_near", "accuracy without near twins", "max", percent=True, ranked="test near-clean", of="test"),
    Score("macro_f1", "macro F1", "max", percent=True, ranked="macro F1", tested=True),
    Score("weighted_f1", "weighted F1", "max", percent=True),
    Score("loss", "loss", "min", tested=True),
    Score("top2", "top-2 accuracy", "max", percent=True),
    Score("ece", "calibration error", "min", tested=True),
    Score("ece_adaptive", "adaptive calibration error", "min"),
    Score("brier", "Brier score", "min", tested=True),
    Score("ferplus_agreement", "agreement with FER+", "max", percent=True, of="votes"),
    Score("ferplus_kl", "divergence from FER+", "min", of="votes"),
)


def ranked():
    """The scores of the test part that rankings show, in their order."""
    return [score for score in SCORES if score.ranked]


def direction(key, monitor):
    """max or min, for a monitored score such as val/accuracy. Only validation scores select: the test part must not, train cannot.

    key: the config key that names the monitor, for the ConfigError of an unknown one.
    """
    known = {f"val/{score.name}": score.better for score in SCORES if score.of == "part"}
    if monitor not in known:
        raise ConfigError(f"{key}={monitor}: there is no such score. {near(monitor, list(known))}")
    return known[monitor]


def is_percent(name):
    """Whether a score is shown as a percentage. The views of a score (accuracy_ten_crop) are what it is; recalls of classes are shares."""
    return name.startswith((*(score.name for score in SCORES if score.percent), "recall"))
