"""Numbers and names as a reader sees them. NaN, an unknown value, is an empty string."""

import math

# Said above a table with the columns of `contrast_columns`.
ADJUSTED = (
    "p is Holm-adjusted over the rows. The intervals are simultaneous and agree with it: they exclude 0 exactly where p is below alpha."
)

# The last word of an axis that is an abbreviation.
AXIS_WORDS = {"act": "activation", "norm": "normalization", "lr": "learning rate"}


def percent(value, digits=2):
    """0.7328 -> 73.28"""
    return "" if _unknown(value) else f"{100 * value:.{digits}f}"


def points(value):
    """A difference of two percentages, with its sign: 0.0052 -> +0.52"""
    return "" if _unknown(value) else f"{100 * value:+.2f}".replace("-0.00", "0.00").replace("+0.00", "0.00")


def percent_interval(low, high):
    return "" if _unknown(low) else f"{percent(low)} to {percent(high)}"


def points_interval(low, high):
    return "" if _unknown(low) else f"{points(low)} to {points(high)}"


def contrast_columns(frame, title):
    """The columns of a table that shows a frame of `contrast_tests`: the estimate under this title, its interval and its p."""
    intervals = [points_interval(*bounds) for bounds in frame[["low", "high"]].to_numpy()]
    return {title: frame["estimate"].map(points), "interval": intervals, "p (Holm)": frame["p_holm"].map(p_value)}


def number(value, digits=2):
    return "" if _unknown(value) else f"{value:.{digits}f}"


def p_value(p):
    return "" if _unknown(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def equals(p):
    """p with its sign of relation, for a sentence: = 0.012, < 0.001"""
    return "not defined" if _unknown(p) else p_value(p) if p < 0.001 else f"= {p_value(p)}"


def listed(words, most=12):
    """a, b and c; of more than `most` words the first ones, and how many more."""
    words = list(words)
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def seeds_text(n):
    """1 seed, 5 seeds"""
    return f"{int(n):,} {'seed' if n == 1 else 'seeds'}"


def axis_word(axis):
    """An axis in a sentence: head.act -> activation, optimizer.weight_decay -> weight decay"""
    last = axis.rsplit(".", 1)[-1]
    return AXIS_WORDS.get(last, last.replace("_", " "))


def _unknown(value):
    return value is None or math.isnan(value)
