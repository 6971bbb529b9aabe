"""Stability over seeds: labels of simulated studies, churn and spreads against their definitions, what a reader sees."""

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers.written_runs import read_jobs
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fer_lightning.analysis.stability_findings import stability_findings
from fer_lightning.analysis.stability_labels import cell_label, provisional_labels, run_scores, seed_interval, why_label, z_scores
from fer_lightning.analysis.stability_of_cells import churn, measured_runs, seed_deviation, stability_table
from fer_lightning.runs.layout import PREDICTIONS
from fer_lightning.runs.result import write_result
from fer_lightning.stability.run_label import TITLES, provisional_label

REFERENCE = {"head.act": "relu", "head.norm": "bn"}
# What a run of the reference cell measures, and how far its seeds lie apart.
USUAL = {"spk": (0.4, 0.3), "osc": (0.3, 0.1), "jit": (0.2, 0.1), "gnv": (0.1, 0.02), "dead": (0.02, 0.01)}


def make_run(folder, act, norm, seed, rng, shift=0.0, div=False, scatter=0.003, missing=()):
    """A run folder whose measures lie `shift` deviations above the usual ones."""
    measures = {name: abs(mean + sd * (shift + rng.normal())) for name, (mean, sd) in USUAL.items()}
    measures |= {"div": div, "gap": 5.0, "drift": 0.01, "clip": None, "gtrend": -1.0, "dormant": 0.0} | dict.fromkeys(missing)
    result = {"status": "done", "protocol": "official", "data": {"verdict": "official"}, "selected": {"epoch": 3}}
    result["job"] = {"id": "x", "study": "s", "cell": {"head.act": act, "head.norm": norm}, "seed": seed}
    result["metrics"] = {"val": {"accuracy": 0.7}, "test": {"accuracy": 0.71 + scatter * rng.normal()}, "train": {"accuracy": 0.9}}
    result["stability"] = measures | {"label": provisional_label(measures), "provisional": True}
    path = folder / f"{act}-{norm}-s{seed}"
    path.mkdir(parents=True)
    write_result(path, result)
    return path


def simulate(folder, cells, seeds=12):
    """cells: {(act, norm): what make_run takes}; a list of these, one a seed, is taken in turn."""
    rng = np.random.default_rng(0)
    for (act, norm), about in cells.items():
        for seed in range(seeds):
            make_run(folder, act, norm, seed, rng, **(about[seed % len(about)] if isinstance(about, list) else about))
    return read_jobs(folder)


def by_axes(table):
    """The table by its varying axes, whatever a cell is called."""
    return table.set_index([axis for axis in REFERENCE if axis in table])


def test_a_study_with_a_reference(tmp_path):
    jobs = simulate(
        tmp_path,
        {
            ("relu", "bn"): {},
            ("gelu", "bn"): {},
            ("mish", "bn"): {"shift": 2.0},
            ("relu", "none"): {"shift": 8.0},
            ("gelu", "none"): [{}, {}, {}, {}, {}, {"div": True}],  # 2 of 12 diverged
            ("mish", "none"): {"scatter": 0.03},
        },
    )
    table = by_axes(stability_table(tmp_path, measured_runs(jobs, REFERENCE)))
    assert table["label"].to_dict() == {
        ("relu", "bn"): "High",
        ("gelu", "bn"): "High",
        ("mish", "bn"): "Moderate",
        ("relu", "none"): "Low",
        ("gelu", "none"): "Low",
        ("mish", "none"): "Low",
    }
    assert table.loc[("relu", "none"), "low"] > 3 and table.loc[("gelu", "bn"), "high"] < 1
    failrate = table.loc[("gelu", "none"), ["failrate", "failrate_low", "failrate_high"]].tolist()
    assert failrate == pytest.approx([2 / 12, *proportion_confint(2, 12, method="wilson")])
    assert table.loc[("mish", "none"), "score"] < 1 and table.loc[("mish", "none"), "ssd"] > 2 * table.loc[("relu", "bn"), "ssd"]
    assert table["agree"].isna().all() and table["n"].eq(12).all()


def test_without_enough_of_a_reference_the_runs_labels_are_summed_up(tmp_path):
    jobs = simulate(tmp_path, {("relu", "bn"): {}, ("gelu", "bn"): {}}, seeds=3)
    jobs[["stability_spk", "stability_osc", "stability_gnv"]] = 0.1
    jobs["stability_jit"] = [0.5, 0.1, 0.5, 0.1, 0.5, 0.9]  # gelu, then relu: Moderate, High, Moderate; High, Moderate, Low
    jobs.loc[jobs.index[-1], "stability_gnv"] = 0.3
    jobs["stability_label"] = "Low"  # as an earlier release judged them
    for reference in (None, {}, REFERENCE, {"head.act": "selu", "head.norm": "bn"}):
        table = stability_table(tmp_path, measured_runs(jobs, reference))
        assert by_axes(table)["label"].to_dict() == {"gelu": "Moderate", "relu": "Low"}  # of equally frequent ones the worst
        assert table["score"].isna().all() and table["agree"].tolist() == [2, 1]
    (finding,) = stability_findings(tmp_path, jobs, {"analysis": {"reference": REFERENCE}})
    assert "(head.act=relu, head.norm=bn) has 3 complete runs that did not diverge; 10 are needed" in finding.text[0]
    assert finding.table["label"].tolist() == ["Moderate (provisional, 2 of 3)", "Low (provisional, 1 of 3)"]
    (finding,) = stability_findings(tmp_path, jobs, {"analysis": {"reference": {"head.norm": "bn"}}})
    assert "gives no level of head.act" in finding.text[0]
    (finding,) = stability_findings(tmp_path, jobs, {"published": []})
    assert "no reference cell is registered" in finding.text[0]


@pytest.mark.parametrize(
    ("low", "high", "diverged", "runs", "ratio", "p", "label"),
    [
        (0.2, 0.9, 0, 10, 1, 0.5, "High"),
        (0.2, 1.1, 0, 10, 1, 0.5, "Undetermined"),
        (1.0, 3.0, 0, 10, 1, 0.5, "Moderate"),
        (2.5, 3.1, 0, 10, 1, 0.5, "Undetermined"),
        (3.1, 4.0, 0, 10, 1, 0.5, "Low"),
        (0.2, 0.9, 1, 10, 1, 0.5, "Undetermined"),  # as good as the reference, but for one that diverged
        (1.2, 1.9, 1, 10, 1, 0.5, "Moderate"),
        (0.2, 0.9, 2, 10, 1, 0.5, "Low"),
        (0.2, 0.9, 0, 10, 2.1, 0.04, "Low"),
        (0.2, 0.9, 0, 10, 2.1, 0.06, "High"),
        (0.2, 0.9, 0, 10, 1.9, 0.01, "High"),
        (np.nan, np.nan, 0, 1, np.nan, np.nan, "Undetermined"),
        (np.nan, np.nan, 1, 1, np.nan, np.nan, "Low"),
    ],
)
def test_the_rule(low, high, diverged, runs, ratio, p, label):
    assert cell_label(low, high, diverged=diverged, runs=runs, sd_ratio=ratio, p=p) == label


@pytest.mark.parametrize(
    ("label", "low", "high", "diverged", "runs", "ratio", "why"),
    [
        ("Undetermined", 0.2, 1.1, 0, 10, 1, "the interval of S contains 1: more seeds would settle it"),
        ("Undetermined", 0.2, 1.0, 0, 10, 1, "the interval of S contains 1: more seeds would settle it"),
        ("Undetermined", 0.2, 3.1, 0, 10, 1, "the interval of S contains 1 and 3: more seeds would settle it"),
        ("Undetermined", 0.2, 0.9, 1, 10, 1, "1 of 10 runs diverged"),
        ("Undetermined", np.nan, np.nan, 0, 1, np.nan, "fewer than two complete runs that did not diverge"),
        ("Low", 3.1, 4.0, 0, 10, 1, "S is above 3"),
        ("Low", 0.2, 0.9, 2, 10, 1, "2 of 10 runs diverged"),
        ("Low", 0.2, 0.9, 0, 10, 2.1, "the seed SD is 2.1 times that of the reference"),
        ("Low", np.nan, np.nan, 1, 1, np.nan, "1 of 1 runs diverged"),
        ("High", 0.2, 0.9, 0, 10, 1, "S is below 1"),
        ("Moderate", 1.0, 3.0, 0, 10, 1, "S is between 1 and 3"),
    ],
)
def test_a_label_says_why(label, low, high, diverged, runs, ratio, why):
    assert why_label(label, low, high, diverged=diverged, runs=runs, sd_ratio=ratio) == why


def test_a_provisional_label_says_why():
    runs = pd.DataFrame({"cell": 0, "diverged": [False, False, True], "label": "Undetermined"})
    measures = {"spk": [4.0, 1, np.nan], "osc": 0.0, "jit": [np.nan, 0.1, 0.1], "gnv": 0.1, "dead": 0.0}
    (why,) = provisional_labels(runs.assign(**measures))["why"]
    assert why == "1 of 3 runs diverged; spikes above the limit in 1; jitter not measured"


def test_scores_by_hand():
    """Reference of spk: median 1, MAD 1, hence 1.4826; of dead: no spread, hence the floor of 0.01."""
    measures = pd.DataFrame({"spk": [0.0, 1.0, 2.0, 1 + 2 * 1.4826], "dead": [0.1, 0.1, 0.1, 0.115]})
    reference = np.array([True, True, True, False])
    z = z_scores(measures, reference)
    assert z.iloc[3].tolist() == pytest.approx([2.0, 1.5]) and z["dead"].iloc[0] == 0
    assert z_scores(measures * 1e6, reference)["dead"].iloc[3] == 10  # clipped
    scores = run_scores(pd.DataFrame([[1.0, 5.0, 3.0, -5.0, 0.0], [np.nan, 1, 1, 1, 1]]))
    assert scores.tolist() == pytest.approx([3.0, np.nan], nan_ok=True)


def test_a_run_that_lacks_a_measure_has_no_score(tmp_path):
    jobs = simulate(tmp_path, {("relu", "bn"): {}, ("gelu", "bn"): {"missing": ("jit",)}})
    table = by_axes(stability_table(tmp_path, measured_runs(jobs, REFERENCE)))
    assert np.isnan(table.loc["gelu", "score"]) and table.loc["gelu", "label"] == "Undetermined"


def test_seed_interval_is_a_bootstrap_of_the_mean():
    scores = np.random.default_rng(0).normal(2, 1, 30)
    drawn = stats.bootstrap((scores,), np.mean, confidence_level=0.9, method="percentile", rng=np.random.default_rng(1))
    assert seed_interval(scores) == pytest.approx(tuple(drawn.confidence_interval), abs=0.03)
    assert np.isnan(seed_interval(scores[:1])).all()


def test_the_interval_of_a_seed_deviation_covers_what_it_should():
    """The interval of an SD holds the true one 95 times in 100."""
    draws = np.random.default_rng(0).normal(0, 0.02, (2000, 5))
    inside = [low < 0.02 < high for _, low, high in map(seed_deviation, draws)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    assert seed_deviation(draws[0])[0] == pytest.approx(np.std(draws[0], ddof=1)) and np.isnan(seed_deviation([1.0])).all()


def test_the_interval_of_a_seed_deviation_ends_where_a_share_can_vary_no_more():
    """Of two seeds 4 points apart the chi-squared distribution allows 126 %."""
    assert seed_deviation([0.68, 0.74])[2] == 0.5
    sd, low, high = seed_deviation([0.7, 0.7, 0.7])
    assert sd == pytest.approx(0) and np.isnan([low, high]).all()  # not 0 to 0: three equal seeds do not prove that all are


def write_answers(folder, answers, rows=None, split="test"):
    """predictions.parquet of a run that is sure of its answers."""
    folder.mkdir(exist_ok=True)
    frame = pd.DataFrame(np.eye(7, dtype=np.float32)[answers], columns=[f"p{c}" for c in range(7)])
    frame.insert(0, "row", range(len(answers)) if rows is None else rows)
    frame.insert(1, "split", split)
    frame.insert(2, "label", 0)
    frame.to_parquet(folder / PREDICTIONS)


def test_churn_is_the_mean_over_pairs(tmp_path):
    answers = np.random.default_rng(0).integers(0, 7, (5, 200))
    for i, run in enumerate(answers):
        order = np.random.default_rng(i).permutation(200)  # aligned by row, not by place
        write_answers(tmp_path / str(i), run[order], 1000 + order)
    expected = np.mean([(a != b).mean() for a, b in itertools.combinations(answers, 2)])
    assert churn(tmp_path, map(str, range(5))) == pytest.approx(expected)
    assert np.isnan(churn(tmp_path, ["0"])) and np.isnan(churn(tmp_path, ["0", "nowhere"]))


def test_churn_leaves_out_validation_and_what_cannot_be_read(tmp_path):
    write_answers(tmp_path / "a", np.array([0, 1, 2, 3]))
    write_answers(tmp_path / "b", np.array([0, 1, 2, 4]))
    write_answers(tmp_path / "c", np.array([6, 6, 6, 6]), split="val")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / PREDICTIONS).write_bytes(b"PAR1 damaged")
    assert churn(tmp_path, "abcd") == 0.25


def test_findings_of_a_study_that_labels_can_be_judged_by(tmp_path):
    """Six cells whose seeds scatter the more, the less stable they are; one label hangs on one measure."""
    shifts = dict(zip(itertools.product(("relu", "gelu", "mish"), ("bn", "none")), (0, 1, 2, 4, 6, 9)))
    cells = {cell: {"shift": float(shift), "scatter": 0.002 * (1 + 0.1 * shift)} for cell, shift in shifts.items()}
    jobs = simulate(tmp_path, cells)
    first, second = stability_findings(tmp_path, jobs, {"analysis": {"reference": REFERENCE}})
    assert first.title == "Stability of training" and "the reference cell (relu-bn, 12 runs)" in first.text[0]
    assert len(first.table) == 6 and "S" in first.table and "provisional" not in " ".join(first.table["label"])
    assert list(second.table) == ["cell", "label", *(f"without {title}" for title in TITLES.values())]
    assert "changes when one measure is left out" in second.text[0]
    assert "the seed SD" in second.text[1] and "over 6 cells" in second.text[1] and len(second.text) == 2


def test_labels_that_predict_nothing_are_called_so(tmp_path):
    cells = {cell: {"shift": 3.0 * i} for i, cell in enumerate(itertools.product(("relu", "gelu", "mish"), ("bn", "none")))}
    jobs = simulate(tmp_path, cells)
    jobs["test_accuracy"] = [0.70 + 0.01 * (seed % 2) for seed in jobs["seed"]]  # the same in every cell
    text = stability_findings(tmp_path, jobs, {"analysis": {"reference": REFERENCE}})[1].text
    assert "it is not known whether S predicts" in text[-1]
    rng = np.random.default_rng(3)
    jobs["test_accuracy"] = 0.7 + 0.01 * rng.normal(size=len(jobs))
    text = stability_findings(tmp_path, jobs, {"analysis": {"reference": REFERENCE}})[1].text
    assert "S predicts none of them" in text[-1]


def test_runs_from_before_the_monitor_have_no_findings(tmp_path):
    path = make_run(tmp_path, "relu", "bn", 0, np.random.default_rng(0))
    from fer_lightning.runs.result import read_result

    write_result(path, read_result(path) | {"stability": None})
    assert stability_findings(tmp_path, read_jobs(tmp_path), {}) == []
