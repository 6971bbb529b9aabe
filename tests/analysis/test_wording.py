"""Numbers and names as a reader sees them."""

import numpy as np
import pytest

from fer_lightning.analysis.wording import axis_word, equals, listed, percent, points, points_interval, seeds_text


def test_numbers():
    assert (percent(0.7328), points(0.0052), points(-0.00001)) == ("73.28", "+0.52", "0.00")
    assert points_interval(-0.001, 0.02) == "-0.10 to +2.00"
    assert (equals(0.012), equals(0.0001), equals(np.nan)) == ("= 0.012", "< 0.001", "not defined")
    assert [percent(np.nan), points(None), points_interval(np.nan, np.nan)] == [""] * 3


def test_words():
    assert [listed("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert listed("abcd", most=2) == "a, b and 2 more"
    assert (seeds_text(1), seeds_text(5.0)) == ("1 seed", "5 seeds")


@pytest.mark.parametrize(
    ("axis", "word"),
    [("head.act", "activation"), ("optimizer.lr", "learning rate"), ("optimizer.weight_decay", "weight decay"), ("backbone", "backbone")],
)
def test_an_axis_has_a_plain_name(axis, word):
    assert axis_word(axis) == word
