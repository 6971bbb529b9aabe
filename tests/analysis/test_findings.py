"""The statistics of whole studies, from run folders as training leaves them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers.written_runs import ACTS, NORMS, draw, read_jobs, write_grid, write_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from fer_lightning.analysis.stability_of_cells import churn
from fer_lightning.analysis.statistics.contrasts import differences_of_gains, gains, reference_cell, roles
from fer_lightning.analysis.statistics.correctness import read_answers
from fer_lightning.analysis.statistics.factorial import two_way
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.statistics.layout import layout
from fer_lightning.analysis.statistics.two_way_variance import two_way_variance
from fer_lightning.analysis.study_record import gather
from fer_lightning.analysis.tables import ranking, remarks
from fer_lightning.analysis.two_runs import flows, judge
from fer_lightning.config.registered_analysis import registered
from fer_lightning.data.faces import CLASSES
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.layout import PREDICTIONS
from fer_lightning.runs.predictions import NO_CLASS
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.runs.study_file import write_ledger

REFERENCE = {"head.act": "relu", "head.norm": "bn"}
FEW = {"resamples": 500}


def analyse(folder, **analysis):
    return study_findings(folder, read_jobs(folder), {"name": "s", "analysis": FEW | analysis})


def titles(found):
    return [finding.title for finding in found.findings]


def finding(found, title):
    return next(finding for finding in found.findings if finding.title == title)


def text(found, title=None):
    return "\n".join(paragraph for f in found.findings if title in (None, f.title) for paragraph in f.text)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """S0's grid with a large synergy of GELU and BatchNorm; five seeds."""
    folder = tmp_path_factory.mktemp("grid")
    return folder, write_grid(folder, np.random.default_rng(0), gain=0.02, synergy=0.12, pictures=2000)


def test_a_planted_synergy(grid):
    found = analyse(grid[0], reference=REFERENCE, tuned_per_cell=True)
    assert found.verdict.word == "synergy" and found.verdict.conclusion == "Synergy: bn instead of none helps gelu more than relu."
    assert titles(found) == [
        *("Conclusion", "Runs", "Cells", "Analysis of variance", "Checks of the interaction test", "Differences of gains"),
        *("Gain of head.norm", "Power of this study", "How many more seeds", "Against the reference cell", "Secondary outcomes"),
        "For a paper",
    ]
    assert text(found, "Conclusion").startswith("Synergy: ")
    assert "First by validation accuracy is gelu-bn. Its test accuracy is " in text(found, "Conclusion")
    assert text(found, "Runs") == "40 of 40 runs are done: 8 of 8 cells, 5 seeds. Outcome: test_accuracy."


def test_paragraphs_for_a_paper_have_the_numbers_of_the_study(grid):
    found = analyse(grid[0], reference=REFERENCE, tuned_per_cell=True)
    methods, results = finding(found, "For a paper").text
    assert "head.act (gelu, mish, relu and swish) and head.norm (bn and none): 8 cells, each trained with 5 seeds" in methods
    assert "the test accuracy on 2,000 images" in methods and "0.50 percentage points" in methods and "rate was tuned" in methods
    anova = finding(found, "Analysis of variance").table.set_index("source")
    f, df = anova.loc["head.act x head.norm", "F"], anova.loc["residual", "degrees of freedom"]
    assert f"F(3, {df}) = {f}, p " in results and found.verdict.conclusion in results and found.verdict.seen in results
    best = found.cells.loc[found.cells["mean"].idxmax()]
    assert f"to {100 * best['mean']:.2f} % (gelu-bn; 95 % interval {100 * best['low']:.2f} to {100 * best['high']:.2f})" in results


def test_without_a_rate_of_its_own_for_each_cell_nothing_is_synergy(grid):
    found = analyse(grid[0], reference=REFERENCE)
    assert found.verdict.word == "inconclusive" and "study.analysis.tuned_per_cell" in found.verdict.conclusion
    assert found.verdict.conclusion.startswith("Inconclusive: bn instead of none helps gelu more than relu, but the learning rate was not")


def p_of(a, b):
    """p of the difference of two cells (seeds, images), paired by seed, for other seeds and images."""
    d = a.astype(float) - b
    error = np.sqrt(d.mean(1).var(ddof=1) / len(d) + max(two_way_variance(d)[1], 0))
    return 2 * stats.t.sf(abs(d.mean()) / error, len(d) - 1)


def test_the_numbers_are_those_of_the_right_answers(grid):
    folder, right = grid
    found = analyse(folder, reference=REFERENCE, tuned_per_cell=True)
    accuracy = right.mean(2)
    anova = two_way(accuracy.reshape(5, 4, 2))
    table = finding(found, "Analysis of variance").table.set_index("source")
    assert table.loc["head.act x head.norm", "F"] == f"{anova.f['ab']:.2f}"
    assert table.loc["head.act x head.norm", "degrees of freedom"] == 3 and table.loc["residual", "degrees of freedom"] == 28
    cells = found.cells.set_index(["head.act", "head.norm"])
    assert cells.loc[("gelu", "bn"), "mean"] == pytest.approx(accuracy[:, 0].mean())
    assert cells.loc[("gelu", "bn"), "clean_mean"] == pytest.approx(right[:, 0, 400:].mean())
    assert (cells["low"] < cells["mean"]).all() and (cells["mean"] < cells["high"]).all() and (cells["n"] == 5).all()
    contrasts = found.contrasts.set_index(["kind", "name"])
    gain = accuracy[:, 0] - accuracy[:, 1]
    of_relu = accuracy[:, 4] - accuracy[:, 5]
    row = contrasts.loc[("gain", "bn over none with gelu")]
    assert row["estimate"] == pytest.approx(gain.mean()) and row["p"] == pytest.approx(p_of(right[:, 0], right[:, 1]))
    row = contrasts.loc[("difference of gains", "bn over none: gelu against relu")]
    assert row["estimate"] == pytest.approx((gain - of_relu).mean()) and row["low"] < row["estimate"] < row["high"]
    row = contrasts.loc[("reference", "gelu-bn")]
    assert row["p"] == pytest.approx(p_of(right[:, 0], right[:, 4]))
    assert contrasts.index.get_level_values("kind").value_counts().to_dict() == {
        **{"gain": 4, "gain on clean images": 4, "difference of gains": 3, "reference": 7}
    }
    row = contrasts.loc[("gain on clean images", "bn over none with gelu, clean images")]
    assert row["estimate"] == pytest.approx((right[:, 0, 400:].mean(1) - right[:, 1, 400:].mean(1)).mean())
    assert row["p"] == pytest.approx(p_of(right[:, 0, 400:], right[:, 1, 400:]))


def test_a_report_made_again_says_the_same(grid):
    first, second = (analyse(grid[0], reference=REFERENCE) for _ in range(2))
    assert first.verdict == second.verdict
    pd.testing.assert_frame_equal(first.contrasts, second.contrasts)
    pd.testing.assert_frame_equal(first.cells, second.cells)


def test_equal_gains_are_additive(tmp_path):
    write_grid(tmp_path, np.random.default_rng(1), pictures=2000, seeds=8)
    found = analyse(tmp_path, reference=REFERENCE, sesoi=0.05, tuned_per_cell=True)
    assert found.verdict.word == "additive" and "±5.00 points" in found.verdict.conclusion


def test_one_seed_is_described_and_not_tested(tmp_path):
    write_grid(tmp_path, np.random.default_rng(2), pictures=200, seeds=1)
    found = analyse(tmp_path, reference=REFERENCE)
    assert found.verdict.word == "inconclusive" and "no test is possible" in found.verdict.conclusion
    assert "7 to 19 seeds to show that one activation gains 1.00 points more" in found.verdict.settle
    assert "descriptive: F(1, 2)" in text(found, "Interaction, descriptive") and "Analysis of variance" not in titles(found)
    assert found.contrasts["p"].isna().all() and found.contrasts["estimate"].notna().all()
    assert found.cells["low"].notna().all() and found.cells["sd"].isna().all()
    assert finding(found, "Against the reference cell").table.columns.tolist() == [
        *("cell", "seeds", "difference (points)", "on clean images")
    ]


def test_runs_that_are_missing_failed_or_diverged_are_named(tmp_path):
    right = write_grid(tmp_path, np.random.default_rng(3), pictures=300)
    (tmp_path / "mish-bn-s1" / "result.json").unlink()
    for path in (tmp_path / "gelu-none-s4").iterdir():
        path.unlink()
    (tmp_path / "gelu-none-s4").rmdir()
    write_run(tmp_path, {"head.act": "gelu", "head.norm": "none"}, 4, status="failed")
    jobs = read_jobs(tmp_path)
    jobs["stability_div"] = [True if name == "relu-bn-s0" else None if name == "relu-bn-s1" else False for name in jobs["name"]]
    found = study_findings(tmp_path, jobs, {"analysis": FEW | {"reference": REFERENCE}})
    said = text(found, "Runs")
    assert "38 of 39 runs are done" in said and "Failed: gelu-none-s4." in said
    assert "Incomplete, without a score in some cell: seed 1 and seed 4." in said
    assert "Diverged, and in the tests with the scores they have: relu-bn-s0." in said
    # The analysis of variance has the three seeds that are whole; a contrast has those that it needs.
    assert "The F test leaves out 2 of 5 seeds, which lack a run (seed 1 and seed 4)" in text(found, "Conclusion")
    table = finding(found, "Analysis of variance").table.set_index("source")
    assert table.loc["residual", "degrees of freedom"] == 14
    assert table.loc["head.act", "F"] == f"{two_way(right.mean(2)[[0, 2, 3]].reshape(3, 4, 2)).f['a']:.2f}"
    contrasts = found.contrasts.set_index(["kind", "name"])["n"]
    assert contrasts["gain", "bn over none with mish"] == 4 and contrasts["gain", "bn over none with swish"] == 5
    assert found.cells.set_index(["head.act", "head.norm"])["n"].to_dict()[("mish", "bn")] == 4
    assert finding(found, "Checks of the interaction test").table.set_index("test of the interaction")["p"].ne("").all()


def test_a_grid_with_an_empty_cell_is_inconclusive_and_ranked(tmp_path):
    write_grid(tmp_path, np.random.default_rng(4), pictures=300, seeds=3)
    for seed in range(3):
        (tmp_path / f"swish-bn-s{seed}" / "result.json").unlink()
    found = analyse(tmp_path, reference=REFERENCE)
    assert found.verdict.word == "inconclusive" and "a run in every cell, and there is none in swish-bn" in found.verdict.conclusion
    assert "Cells without a score: swish-bn." in text(found, "Runs") and "Ranking" in titles(found)
    assert found.cells["n"].tolist().count(0) == 1


def write_axis(folder, accuracy, seeds=6, pictures=1500, axis="backbone", levels="abcdefgh", rng=None):
    right = draw(rng or np.random.default_rng(5), accuracy, pictures, seeds)
    for seed in range(seeds):
        for level, hits in zip(levels, right[seed]):
            write_run(folder, {axis: level}, seed, hits)
    return right


def test_one_axis_is_ranked(tmp_path):
    right = write_axis(tmp_path, [0.60, 0.70, 0.70, 0.55])
    found = analyse(tmp_path)
    accuracy = right.mean(2)
    first = "bc"[int(accuracy[:, 2].mean() > accuracy[:, 1].mean())]
    other = "cb"["bc".index(first)]
    doubt = f"but the data do not show that it differs from {other}"
    assert found.verdict.word is None
    assert found.verdict.conclusion == f"{first} (first by validation accuracy) is better than a and d, {doubt}."
    assert f"{other} " in found.verdict.seen and "seeds to show a difference of 0.50 points from the first cell" in found.verdict.settle
    assert "Of all 6 pairs of cells, 5 differ" in text(found, "Ranking") and f"b above {'d'}" in text(found, "Ranking")
    friedman = stats.friedmanchisquare(*accuracy.T)
    assert f"chi² = {friedman.statistic:.2f}" in text(found, "Ranking")
    table = finding(found, "Ranking").table.set_index("cell")
    assert table.loc["a", "average rank"] == f"{stats.rankdata(-accuracy, axis=1)[:, 0].mean():.2f}"
    assert table.index[-1] == "d" and table.loc[first, "p (Holm)"] == "" and float(table.loc["d", "minus the first (points)"]) < -10


def test_seeds_that_a_comparison_leaves_out_are_said_in_the_conclusion(tmp_path):
    write_axis(tmp_path, [0.6, 0.7, 0.65], seeds=5, pictures=300)
    assert "Compared over" not in analyse(tmp_path).verdict.seen
    (tmp_path / "c-s4" / "result.json").unlink()
    assert "Compared over 4 to 5 of 5 seeds: the others lack a run." in analyse(tmp_path).verdict.seen


def test_numbers_as_levels_are_in_their_order(tmp_path):
    write_axis(tmp_path, [0.6, 0.6, 0.6], seeds=2, pictures=100, axis="optimizer.lr", levels=[0.001, 0.1, 0.01])
    assert analyse(tmp_path).cells["optimizer.lr"].tolist() == ["0.001", "0.01", "0.1"]


def test_three_axes_are_one_factor(tmp_path):
    rng = np.random.default_rng(6)
    for seed in range(2):
        for cell in ({"x": x, "y": y, "optimizer.lr": lr} for x in "ab" for y in "cd" for lr in (0.1, 0.2)):
            write_run(tmp_path, cell, seed, rng.random(200) < 0.6)
    found = analyse(tmp_path)
    assert found.verdict.word is None and "3 axes vary and do not form a two-way grid" in text(found, "Runs")
    assert len(found.cells) == 8 and "xa-yc-lr0.1" in finding(found, "Ranking").table["cell"].tolist()


@pytest.mark.parametrize("seeds", [1, 3])
def test_no_axis(tmp_path, seeds):
    for seed in range(seeds):
        write_run(tmp_path, {}, seed, np.random.default_rng(seed).random(200) < 0.6)
    found = analyse(tmp_path)
    assert found.verdict == (None, "Only one cell has a score, so there is nothing to compare it with.", "", "")
    assert titles(found) == ["Conclusion", "Runs", "Cells"] and found.cells["n"].tolist() == [seeds]


def test_nothing_done(tmp_path):
    write_run(tmp_path, {"head.act": "relu"}, 0, status="failed")
    write_run(tmp_path, {"head.act": "gelu"}, 0, status="running")
    found = analyse(tmp_path)
    assert found.verdict.word is None and not len(found.cells) and not len(found.contrasts)
    assert "Failed: relu-s0." in text(found) and "Running: gelu-s0." in text(found)


def test_without_a_test_part_validation_is_the_outcome(tmp_path):
    rng = np.random.default_rng(7)
    for seed in range(3):
        for act in ACTS:
            write_run(tmp_path, {"head.act": act}, seed, rng.random(300) < 0.6, part="val")
    found = analyse(tmp_path)
    assert "Outcome: val_accuracy." in text(found, "Runs") and "No run has a test_accuracy" in text(found, "Runs")
    assert len(found.contrasts) == 6 and found.contrasts["low"].notna().all()
    assert "on 300 images" in text(found, "Cells")


def test_runs_on_other_pictures_have_intervals_over_seeds_alone(tmp_path):
    rng = np.random.default_rng(8)
    folds = {fold: np.arange(300) + 300 * fold for fold in range(3)}
    right = {}
    for fold, rows in folds.items():
        for seed in range(2):
            for norm, chance in (("bn", 0.7), ("none", 0.6)):
                right[norm, fold, seed] = rng.random(300) < chance
                write_run(tmp_path, {"protocol.fold": fold, "head.norm": norm}, seed, right[norm, fold, seed], rows=rows)
    found = analyse(tmp_path)
    said = text(found, "Runs")
    assert "are over seeds, each with images of its own" in said and "was scored on other" in said
    assert "these images" not in text(found) and "same images" not in text(found)
    assert "Each combination of seed and protocol.fold counts as a seed" in said
    row = found.contrasts.set_index(["kind", "name"]).loc[("reference", "bn")]
    gain = [right["bn", *key].mean() - right["none", *key].mean() for key in ((f, s) for f in range(3) for s in range(2))]
    expected = stats.ttest_1samp(gain, 0)
    assert row["n"] == 6 and row["p"] == pytest.approx(expected.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("harm", ["gone", "cut off", "other part"])
def test_predictions_that_cannot_be_read_leave_the_seeds(tmp_path, harm):
    write_axis(tmp_path, [0.6, 0.7], seeds=3, pictures=100)
    path = tmp_path / "a-s1" / PREDICTIONS
    if harm == "gone":
        path.unlink()
    elif harm == "cut off":
        path.write_bytes(path.read_bytes()[:100])
    else:
        frame = pd.read_parquet(path)
        frame.assign(split="val").to_parquet(path)
    found = analyse(tmp_path)
    assert "a-s1 has no" in text(found, "Runs") and found.contrasts["low"].notna().all()


def test_correctness_is_in_the_order_of_the_rows(tmp_path):
    right = np.array([True, False, True, True, False, False, True, True])
    write_run(tmp_path, {"x": 0}, 0, right)
    write_run(tmp_path, {"x": 1}, 0, right[::-1], rows=np.arange(8)[::-1])
    found = read_answers(tmp_path, ["0-s0", "1-s0"], "test")
    assert found.why == "" and found.right.tolist() == [right.tolist()] * 2


def test_a_swept_protocol_has_one_name_everywhere(tmp_path):
    """A run records its protocol in full; the study swept its short name. A run that failed early records none."""
    for level, full in {"official": "official", "train_plus_one_test": "train_plus_one_test_PublicTest"}.items():
        for seed in (0, 1):
            path = write_run(tmp_path, {"protocol": level}, seed, np.ones(100, bool))
            write_result(path, read_result(path) | {"protocol": full})
    path = write_run(tmp_path, {"protocol": "official"}, 2, status="failed")
    write_result(path, read_result(path) | {"protocol": None})
    record = gather(tmp_path)
    found = analyse(tmp_path)
    assert found.cells["protocol"].to_list() == ["official", "train_plus_one_test"]
    assert set(found.cells["protocol"]) == set(record.cells["protocol"]) == set(record.cells.index) == set(record.labels)
    assert "several protocols (official and train_plus_one_test_PublicTest)" in text(found, "Runs")
    assert "Protocol: official, train_plus_one_test_PublicTest." in remarks(record)[0]


def test_the_same_run_twice_counts_once(tmp_path):
    write_axis(tmp_path, [0.6, 0.7], seeds=2, pictures=100)
    (tmp_path / "a-s1").rename(tmp_path / "copy")
    write_run(tmp_path, {"backbone": "a"}, 1, np.ones(100, bool))
    found = analyse(tmp_path)
    assert "Left out because another run has the same cell and seed: copy." in text(found, "Runs")
    assert found.cells["n"].tolist() == [2, 2] and found.cells["max"][0] == 1


def test_runs_that_all_score_the_same_are_not_told_apart(tmp_path):
    for seed in range(3):
        for act in ACTS[:2]:
            for norm in NORMS:
                write_run(tmp_path, {"head.act": act, "head.norm": norm}, seed, np.arange(100) % 4 == 0)
    found = analyse(tmp_path, reference=REFERENCE)
    assert found.verdict.word == "inconclusive" and "scored the same" in found.verdict.conclusion


def test_a_random_search_is_one_factor(tmp_path):
    rng = np.random.default_rng(9)
    for _ in range(12):
        cell = {"optimizer.lr": round(float(rng.random()), 6), "optimizer.weight_decay": round(float(rng.random()), 6)}
        write_run(tmp_path, cell, 0, rng.random(100) < 0.5)
    found = analyse(tmp_path)
    assert found.verdict.word is None and "no test" in found.verdict.conclusion and len(found.cells) == 12


def jobs_of(**axes):
    jobs = pd.MultiIndex.from_product(axes.values(), names=axes).to_frame(index=False).assign(seed=0, status="done", test_accuracy=0.5)
    jobs.insert(0, "name", [f"r{i}" for i in range(len(jobs))])
    return jobs


@st.composite
def any_jobs(draw):
    """Whatever a sweep may leave: any axes and seeds, runs in any state, scores of any coarseness, some of them missing."""
    axes = {"head.norm": ["none", "bn", None], "optimizer.lr": [0.1, 1e-3, "auto"], "protocol.fold": [0, 1], "seed": [0, 1, 2]}
    axes = {axis: levels[: draw(st.integers(1, len(levels)))] for axis, levels in axes.items() if axis == "seed" or draw(st.booleans())}
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    score = st.sampled_from([0.0, 0.25, 0.7, 0.71, 0.72, 1.0, None])
    rows = []
    for i, cell in enumerate(draw(st.lists(st.sampled_from(cells), min_size=1, max_size=30))):
        status = draw(st.sampled_from(["done"] * 6 + ["failed", "running", "preempted"]))
        row = {"name": f"r{i}", **cell, "status": status, "protocol": "official"}
        if status == "done":
            row |= {name: draw(score) for name in ("val_accuracy", "test_accuracy", "test_accuracy_clean", "test_macro_f1", "test_loss")}
            row |= {"test_n": draw(st.sampled_from([100, None])), "stability_div": draw(st.sampled_from([True, False, None]))}
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.filterwarnings("error")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_jobs(), st.sampled_from([{}, {"head.norm": "bn"}, {"head.norm": "gone", "optimizer.lr": 0.1}]))
def test_no_study_is_too_odd(tmp_path, jobs, reference):
    found = study_findings(tmp_path, jobs, {"analysis": {"resamples": 100, "reference": reference}})
    assert found.verdict.word in (None, "additive", "inconclusive", "synergy") and found.verdict.conclusion
    for entry in found.findings:
        assert entry.title and all(isinstance(paragraph, str) and "nan" not in paragraph for paragraph in entry.text)
        assert entry.table is None or not entry.table.astype(str).isin(["nan", "NaN"]).any(axis=None)


def test_who_gains_over_what():
    grid = jobs_of(**{"head.act": ["gelu", "relu"], "head.norm": ["bn", "ln", "none"]})
    parts = roles(layout(grid, "test_accuracy"), {"head.act": "relu", "head.norm": "bn"})
    assert parts == ("head.norm", "none", "head.act", "relu")
    design = layout(grid, "test_accuracy")
    assert [c.name for c in gains(design, parts)][:2] == ["bn over none with gelu", "bn over none with relu"]
    wanted = differences_of_gains(design, parts)
    assert [c.name for c in wanted] == ["bn over none: gelu against relu", "ln over none: gelu against relu"]
    #                                            gelu: bn ln none  relu: bn ln none
    assert wanted[0].weights.tolist() == [1, 0, -1, -1, 0, 1] and wanted[1].weights.tolist() == [0, 1, -1, 0, -1, 1]
    assert reference_cell(design, {"head.act": "relu", "head.norm": "bn"}) == ("relu", "bn")
    # Nothing registered: what says "without", else the first; where neither axis says so, the shorter one is the treatment.
    assert reference_cell(design, {}) == ("gelu", "none")
    assert roles(layout(jobs_of(a=["x", "y", "z"], b=["u", "v"]), "test_accuracy"), {"b": "v"}) == ("b", "v", "a", "x")
    assert roles(layout(jobs_of(a=["x", "y"], b=[False, True]), "test_accuracy"), {}) == ("b", "False", "a", "x")


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        ({"alpha": 0.0}, "study.analysis.alpha=0.0: the level of a test lies between 0 and 1"),
        ({"sesoi": 0.5e2}, "such as 0.005 for 0.5 points"),
        ({"resamples": 10}, "give 100 to 100000"),
        ({"resamples": 10**12}, "give 100 to 100000"),
        ({"outcome": "test_acuracy"}, "Did you mean test_accuracy"),
        ({"sesio": 0.01}, "study.analysis.sesio: there is no such key. Did you mean sesoi?"),
        ({"alpha": "low"}, "study.analysis.alpha='low': the type must be float, as of 0.05."),
        ({"resamples": None}, "study.analysis.resamples=None: the type must be int, as of 10000."),
        ({"tuned_per_cell": "no"}, "study.analysis.tuned_per_cell='no': the type must be bool, as of False."),
        ({"reference": "relu"}, "study.analysis.reference='relu': the type must be dict"),
    ],
)
def test_an_analysis_that_there_is_not(analysis, said):
    with pytest.raises(ConfigError, match=said.replace(".", r"\.").replace("?", r"\?")):
        registered({"analysis": analysis})


def test_a_study_from_before_there_was_an_analysis():
    assert registered({}).alpha == 0.05 and registered({"analysis": None}).reference == {}


def test_a_wrong_analysis_stops_a_sweep_before_its_first_job(command, tmp_path):
    done = command("-m", "seed=0,1", "study.analysis.alpha=5", "hydra.sweep.dir=out")
    assert done.code == 1 and "study.analysis.alpha=5.0" in done.text and not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["statistics.findings", "report"])
def test_importing_statistics_costs_no_scipy(process, tmp_path, module):
    """A smoke run that imports the report should not wait for libraries that it will not call."""
    heavy = {"scipy.stats", "statsmodels", "pyarrow.parquet", "torch"}
    (tmp_path / "check.py").write_text(f"import sys, fer_lightning.analysis.{module}; print({heavy} & set(sys.modules))")
    assert process("check").text.strip() == "set()"


def diverge(path):
    """Make a finished run one that ended in NaN: every image wrong, no loss, no probabilities."""
    result = read_result(path)
    scores = result["metrics"]["test"] | {"accuracy": 0.0, "accuracy_clean": 0.0, "macro_f1": 0.0} | dict.fromkeys(("loss", "ece", "brier"))
    write_result(path, result | {"metrics": result["metrics"] | {"test": scores}})
    frame = pd.read_parquet(path / PREDICTIONS)
    frame[[f"p{c}" for c in range(7)]] = np.nan
    frame.to_parquet(path / PREDICTIONS, index=False)


def test_a_cell_in_which_every_run_diverged_is_reported(tmp_path):
    write_grid(tmp_path, np.random.default_rng(0), pictures=200, seeds=3)
    for seed in range(3):
        diverge(tmp_path / f"gelu-none-s{seed}")
    found = analyse(tmp_path, reference=REFERENCE)
    assert found.cells.set_index(["head.act", "head.norm"])["mean"]["gelu", "none"] == 0
    said = finding(found, "Secondary outcomes")
    assert said.table["score"].to_list() == ["macro F1"]
    assert "no run has a finite value: loss, calibration error and Brier score." in " ".join(said.text)


def test_an_image_without_a_prediction_is_wrong_in_every_test(tmp_path):
    """An argmax of NaN is class 0: without a rule a run of NaN would have all angry faces right, and agree with any run that says angry."""
    right = np.ones(140, bool)
    for seed in range(2):
        write_run(tmp_path, {"x": 0}, seed, right)
    diverge(tmp_path / "0-s1")
    found = read_answers(tmp_path, ["0-s0", "0-s1"], "test").right
    assert found[0].all() and not found[1].any()
    assert churn(tmp_path, ["0-s0", "0-s1"]) == 1.0
    labels, none = np.arange(7), np.full(7, NO_CLASS)
    judged = judge(labels, labels, none)
    assert judged["accuracy"]["b"] == judged["macro_f1"]["b"] == 0 and judged["churn"] == 1
    one = np.where(labels == 3, NO_CLASS, labels)  # one class is lost, and no other class pays for it
    assert judge(labels, labels, one)["macro_f1"]["b"] == pytest.approx(6 / 7)
    assert flows(labels, labels, one, CLASSES)["b"].to_list() == ["no class"]


def test_a_tie_is_not_called_first(tmp_path):
    for seed in range(2):
        for level, share in {"a": 4, "b": 4, "c": 3}.items():
            write_run(tmp_path, {"x": level}, seed, np.roll(np.arange(100) % 5 < share, seed + ord(level)))
    found = analyse(tmp_path)
    assert "First by validation accuracy is xa, tied with xb. Its test accuracy is 80.00 %" in text(found, "Conclusion")
    assert found.cells["low"].isna().all()  # equal seeds: their spread is not known, so there is no interval
    assert "95 % interval" not in text(found, "Conclusion")
    assert ranking(gather(tmp_path))["rank"].to_list() == ["1", "1", "3"]


def test_predictions_that_are_equal_to_the_last_bit_are_warned_of(tmp_path):
    right = np.random.default_rng(0).random((2, 2, 100)) < 0.7
    right[1, 1] = right[1, 0]
    for seed in range(2):
        for level in range(2):
            write_run(tmp_path, {"x": level}, seed, right[seed, level])
    said = text(analyse(tmp_path), "Runs")
    assert said.count("Warning") == 1
    assert "the predictions of 0-s1 and 1-s1 are equal to the last bit, although they are different cells" in said


def test_no_test_is_spoken_of_where_there_is_none(tmp_path):
    for level in "ab":
        write_run(tmp_path, {"x": level}, 0, np.random.default_rng(ord(level)).random(100) < 0.7)
    said = text(analyse(tmp_path))
    assert not any(word in said for word in ("Holm", "Wilcoxon", "Wilson's interval. The cell", "pairs of cells", "ASO"))


def test_two_cells_are_one_pair_and_are_not_counted(tmp_path):
    write_axis(tmp_path, [0.6, 0.7], seeds=3)
    assert "pairs of cells" not in text(analyse(tmp_path))


def test_jobs_without_a_record_are_named(tmp_path):
    write_axis(tmp_path, [0.6, 0.7], seeds=2, pictures=100)
    for path in tmp_path.iterdir():
        level, seed = path.name.split("-s")
        result = read_result(path)
        write_result(path, result | {"job": result["job"] | {"overrides": [f"backbone={level}", f"seed={seed}", "epochs=3"]}})
    jobs = [[f"backbone={level}", f"seed={seed}"] for level in "ab" for seed in range(3)]
    write_ledger(tmp_path, {"study": {"name": "s"}, "axes": ["backbone"], "jobs": jobs, "base": {}, "command": []})
    study = gather(tmp_path)
    assert study.never_begun == ["a-s2", "b-s2"]
    found = study_findings(tmp_path, study.jobs, study.ledger["study"], study.never_begun)
    assert "Planned, but without a record: a-s2 and b-s2." in text(found, "Runs")
