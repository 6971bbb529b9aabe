"""How many more seeds: what studies drawn from a study say of larger ones, against studies drawn from the world it came from."""

import numpy as np
import pandas as pd
import pytest

from fer_lightning.analysis.page.study_figures import more_seeds
from fer_lightning.analysis.statistics.contrasts import Contrast
from fer_lightning.analysis.statistics.paired_tests import contrast_tests, mean_floor
from fer_lightning.analysis.statistics.seeds_outlook import SEEDS, WORDS, outlook, outlook_finding
from fer_lightning.config.registered_analysis import Analysis

# 2 norms x 3 activations, cells in that order; two differences of gains, over the last activation.
WEIGHTS = np.array([[1, 0, -1, -1, 0, 1], [0, 1, -1, 0, -1, 1]], float)
ANALYSIS = Analysis(tuned_per_cell=False)


def chances(extra, seeds, *, sd=0.004, images=None, by_image=0.0, rng=None):
    """The outlook of a study whose first activation gains `extra` more; images: of how many `right` is drawn, None: seeds alone."""
    rng = rng or np.random.default_rng(0)
    y = 0.7 + rng.normal(0, sd, (seeds, 6)) + [extra, 0, 0, 0, 0, 0]
    right = None
    if images:
        right = rng.random((seeds, 6, images)) < 0.7 + rng.normal(0, by_image, (6, images))  # without an effect
        y = right.mean(2)
    frame = contrast_tests(y, [Contrast(str(k), w) for k, w in enumerate(WEIGHTS)], ANALYSIS, right)
    frame["clean"], frame["logit"] = frame["estimate"], frame["estimate"]
    return frame, outlook(y.reshape(seeds, 2, 3), WEIGHTS, frame, analysis=ANALYSIS, images=images or 3589, right=right)


def test_a_large_effect_becomes_synergy_and_none_becomes_additive():
    _, large = chances(0.02, 10)
    assert large["seeds"].to_list() == list(SEEDS) and large[list(WORDS)].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(SEEDS)))
    assert large["synergy"].iloc[0] < 0.9 < large["synergy"].iloc[-1] and large["synergy"].is_monotonic_increasing
    _, none = chances(0.0, 200)  # so many that what they estimate is nearly 0
    assert none["additive"].iloc[0] < 0.1 and none["additive"].iloc[-1] > 0.9 and (none["synergy"] < 0.05).all()


def test_the_chances_are_those_of_the_world_that_a_large_pilot_has_seen():
    """A pilot of 200 seeds knows its world: other studies of it get a word as often as is foretold."""
    rng = np.random.default_rng(1)
    _, found = chances(0.012, 200, rng=rng)
    size = 7
    drawn = [chances(0.012, size, rng=rng)[0] for _ in range(150)]
    significant = [((frame["p_holm"] < 0.05) & (frame["estimate"].abs() >= 0.005)).any() for frame in drawn]
    # Synergy also takes the F test, which seldom decides here.
    assert found.set_index("seeds").loc[size, "synergy"] == pytest.approx(np.mean(significant), abs=0.1)


def test_images_that_differ_between_cells_set_a_floor_to_the_chances():
    frame, found = chances(0.0, 20, images=600, by_image=0.3, rng=np.random.default_rng(3))
    assert mean_floor(frame) > 0.01  # no number of seeds shows +-0.5 points
    assert (found["additive"] < 0.1).all()


@pytest.mark.filterwarnings("error")
def test_two_seeds_are_enough_to_draw_from():
    _, found = chances(0.01, 2)
    assert np.isfinite(found.to_numpy()).all()


@pytest.mark.filterwarnings("error")
def test_drawn_studies_whose_seeds_do_not_differ_get_no_word():
    """On few images most residuals are the same, and so are all seeds of many a drawn study: no test, as for a real one."""
    y = np.full((3, 6), 0.5)
    y[0, 0] = 0.52
    frame = contrast_tests(y, [Contrast(str(k), w) for k, w in enumerate(WEIGHTS)], ANALYSIS)
    frame["clean"], frame["logit"] = frame["estimate"], frame["estimate"]
    found = outlook(np.round(y.reshape(3, 2, 3), 2), WEIGHTS, frame, analysis=ANALYSIS, images=50)
    assert np.isfinite(found.to_numpy()).all()
    # All residuals are multiples of one number, so drawn differences may all be 0.
    none = outlook(np.broadcast_to([[[0.5, 0.5, 0.6], [0.5, 0.5, 0.5]]], (3, 2, 3)), WEIGHTS, frame, analysis=ANALYSIS, images=50)
    assert (none["inconclusive"] == 1).all()


def test_the_finding_and_the_figure_say_what_they_assume():
    _, found = chances(0.02, 4)
    finding = outlook_finding(found, 4, tuned=False)
    assert "here 4" in finding.text[1] and "assumes a learning rate tuned in every cell" in finding.text[2]
    enough = found[found["synergy"] >= 0.8].iloc[0]
    assert finding.text[0] == f"{enough['seeds']:.0f} seeds would give the word synergy in {100 * enough['synergy']:.0f} % of studies."
    never = found.assign(synergy=0.1, additive=0.1, inconclusive=0.8)
    assert outlook_finding(never, 4, tuned=True).text[0].startswith("No number of seeds up to 80 would give the word")
    assert finding.table["seeds"].to_list() == [str(n) for n in SEEDS] and len(outlook_finding(found, 4, tuned=True).text) == 2
    chart = more_seeds(found)
    assert [series.name for series in chart.series] == list(WORDS) and max(chart.series[0].y) <= 100
    assert more_seeds(None) is None and isinstance(found, pd.DataFrame)
