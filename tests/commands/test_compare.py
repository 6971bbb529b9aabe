"""Two runs side by side: the paired statistics against statsmodels, torchmetrics and published figures, and the command on real runs."""

import json
import subprocess
import sys
from math import comb, log

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.made_run import make_run
from helpers.project import TINY
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from fer_lightning import compare
from fer_lightning.analysis import two_runs
from fer_lightning.analysis.comparison import changed_images, compare_runs
from fer_lightning.analysis.statistics.descriptive import least_difference
from fer_lightning.data.faces import CLASSES
from fer_lightning.model.metrics import score
from fer_lightning.process.errors import UserError
from fer_lightning.runs.finished_run import difference, read_run
from fer_lightning.runs.result import read_result, write_result

discordant = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(discordant)
def test_mid_p_by_hand_and_by_the_exact_test(counts):
    b, c = counts
    n, k = b + c, min(b, c)
    by_hand = (2 * sum(comb(n, i) for i in range(k)) + comb(n, k)) / 2**n if b != c else 1
    assert two_runs.mcnemar(b, c) == pytest.approx(by_hand)
    if b != c:
        exact = statsmodels_mcnemar([[5, b], [c, 5]], exact=True).pvalue
        assert two_runs.mcnemar(b, c) == pytest.approx(exact - stats.binom.pmf(k, n, 0.5))


def test_the_published_example():
    """Airway responsiveness of 21 children, 7 and 1 discordant: Fagerland, Lydersen, Laake (2014), Tables 4 and 5."""
    assert two_runs.mcnemar(1, 7) == pytest.approx(0.0391, abs=5e-5)
    assert two_runs.score_interval(7, 1, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)


@given(discordant, st.integers(1, 200))
def test_the_interval_inverts_the_score_test(counts, same):
    """At its ends the score statistic, with the most likely shares under that difference found numerically, is 1.96."""
    b, c = counts
    n = b + c + same
    low, high = two_runs.score_interval(b, c, n)
    assert -1 <= low <= (c - b) / n <= high <= 1
    assert two_runs.score_interval(c, b, n) == pytest.approx((-high, -low), abs=1e-6)
    for end in (low, high):
        if abs(end) < 0.999:
            assert abs(_score_statistic(b, c, n, end)) == pytest.approx(stats.norm.ppf(0.975), abs=2e-3)
    asymptotic = statsmodels_mcnemar([[same, b], [c, 0]], exact=False, correction=False).pvalue if b + c else 1.0
    if abs(asymptotic - 0.05) > 1e-6:
        assert (low > 0 or high < 0) == (asymptotic < 0.05)


def _score_statistic(b, c, n, difference):
    def unlikely(share):  # of pictures that only the first has right; the second's is then share + difference
        cells = [(b, share), (c, share + difference), (n - b - c, 1 - 2 * share - difference)]
        return -sum(count * log(p) for count, p in cells if count) if all(p > 0 for count, p in cells if count) else np.inf

    bounds = max(0, -difference), (1 - difference) / 2
    share = optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (c - b - n * difference) / np.sqrt(n * (2 * share + difference - difference**2))


def test_no_discordant_picture_still_leaves_an_interval():
    z2 = stats.norm.ppf(0.975) ** 2
    assert two_runs.mcnemar(0, 0) == 1
    assert two_runs.score_interval(0, 0, 100) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)))
    assert two_runs.score_interval(0, 5, 5)[1] == 1 and two_runs.score_interval(5, 0, 5)[0] == -1


@pytest.mark.parametrize(("share", "points"), [(0.16, (1.31, 1.87)), (0.08, (0.93, 1.32))])
def test_what_3589_pictures_can_show(share, points):
    found = [least_difference(share, 3589, power=power) for power in (0.5, 0.8)]
    assert [round(100 * d, 2) for d in found] == pytest.approx(points)


def test_the_power_is_the_power():
    """Simulated: of pairs whose true difference is the second figure, four in five are significant."""
    rng = np.random.default_rng(0)
    n, share = 3589, 0.16
    gap = least_difference(share, n, power=0.8)
    drawn = rng.multinomial(n, [(share - gap) / 2, (share + gap) / 2, 1 - share], size=1000)
    assert np.mean([two_runs.mcnemar(b, c) < 0.05 for b, c, _ in drawn]) == pytest.approx(0.8, abs=0.03)


def wild(seed, n, classes=7):
    """Labels and two nets' classes, right in 60 and 65 %."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return labels, *(np.where(rng.random(n) < share, labels, rng.integers(0, classes, n)) for share in (0.6, 0.65))


@pytest.mark.parametrize("classes", [7, 4])
def test_macro_f1_is_torchmetrics(classes):
    labels, first, _ = wild(0, 300, classes)
    logits = torch.nn.functional.one_hot(torch.from_numpy(first), 7).float()
    theirs = score(logits, torch.from_numpy(labels))["macro_f1"]
    assert two_runs.macro_f1(labels, first, np.ones(300, int)) == pytest.approx(theirs, abs=1e-6)


def test_bootstraps_against_redrawn_pictures():
    """The same intervals from drawing pictures one by one, by scipy for the mean and by hand for the macro F1."""
    labels, first, second = wild(1, 400)
    gained = (second == labels) * 1.0 - (first == labels)
    theirs = stats.bootstrap((gained,), np.mean, method="percentile", n_resamples=4000, batch=500).confidence_interval
    assert two_runs.mean_interval(gained) == pytest.approx((theirs.low, theirs.high), abs=0.006)

    rng, gaps = np.random.default_rng(2), []
    for _ in range(1500):
        drawn = rng.integers(0, 400, 400)
        one = np.ones(400, int)
        f1 = [two_runs.macro_f1(labels[drawn], predicted[drawn], one) for predicted in (first, second)]
        gaps.append(f1[1] - f1[0])
    judged = two_runs.judge(labels, first, second)["macro_f1"]
    assert (judged["low"], judged["high"]) == pytest.approx(tuple(np.quantile(gaps, (0.025, 0.975))), abs=0.01)
    assert judged["low"] < judged["difference"] < judged["high"]


def test_changes_and_flows_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    first = np.array([0, 1, 1, 1, 0, 2])
    second = np.array([1, 0, 2, 1, 2, 2])
    table = two_runs.changes_by_class(labels, first, second, CLASSES).set_index("class")
    assert table.loc["angry"].tolist() == [3, 1, 1, 1, 0]
    assert table.loc["disgust"].tolist() == [2, 0, 0, 1, 0]
    assert table.loc["all"].tolist() == [6, 1, 1, 2, 0]
    moved = two_runs.flows(np.tile(labels, 2), np.tile(first, 2), np.append(second, labels), CLASSES)
    assert moved.iloc[0].tolist() == ["angry", "disgust", "angry", 3]
    assert moved["pictures"].sum() == 4 + 3
    assert two_runs.judge(labels, first, second)["churn"] == pytest.approx(4 / 6)


def test_only_pictures_that_both_scored_are_paired(tmp_path, run_main):
    folders = make_run(tmp_path / "a", 0, rows=range(40)), make_run(tmp_path / "b", 1, rows=[*range(79, 9, -1)])
    comparison = compare_runs(*map(read_run, folders))
    assert comparison["pictures"] == {"a": 40, "b": 70, "both": 30}
    assert comparison["paired"]["all"]["n"] == 30 and comparison["paired"]["clean"]["n"] == 15
    first, second = (pd.read_parquet(folder / "predictions.parquet").set_index("row").loc[range(10, 40)] for folder in folders)
    right = [frame.filter(regex=r"p\d").to_numpy().argmax(1) == frame["label"] for frame in (first, second)]
    accuracy = comparison["paired"]["all"]["accuracy"]
    assert (accuracy["only_a"], accuracy["only_b"]) == (sum(right[0] & ~right[1]), sum(right[1] & ~right[0]))
    assert accuracy["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    assert "A scored 40 images, B 70; the test uses the 30 that both scored." in run_main(compare, *folders)[1]


def test_runs_from_before_the_column_clean(tmp_path, run_main):
    folders = make_run(tmp_path / "a", 0, clean=False), make_run(tmp_path / "b", 1)
    sentence, text = run_main(compare, *folders)
    assert sentence is None and "Clean images are left out" in text and "accuracy, all 40" in text
    assert pd.read_parquet(folders[0] / "predictions.parquet").drop(columns="clean").to_parquet(folders[0] / "predictions.parquet") is None
    assert "Clean images are left out" in run_main(compare, *folders)[1]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"protocol": "swapped"}, "a ran under protocol official, b under swapped."),
        ({"fingerprint": "g"}, "Their data are not the same: PrivateTest differ (a: official, b: official)."),
        ({"labels": torch.zeros(40, dtype=torch.int64)}, "34 of 40 images have another label"),
        ({"rows": range(40, 80)}, "There is no test image that both have scored."),
    ],
)
def test_what_cannot_be_paired_is_still_shown(tmp_path, run_main, other, reason):
    folders = make_run(tmp_path / "a", 0), make_run(tmp_path / "b", 1, **other)
    sentence, text = run_main(compare, *folders, "--json", tmp_path / "c.json")
    assert sentence is None and reason in text and "macro_f1 %" in text and "McNemar" not in text
    written = json.loads((tmp_path / "c.json").read_text())
    assert reason in written["refused"] and "paired" not in written and written["metrics"]["test"]["accuracy"]["a"] > 0
    sentence, _ = run_main(compare, *folders, "--csv", tmp_path / "c.csv")
    assert "c.csv is not written: the two runs cannot be paired." in sentence and not (tmp_path / "c.csv").exists()


def test_runs_of_other_class_counts_are_refused(tmp_path):
    a, b = (read_run(make_run(tmp_path / name, 0)) for name in "ab")
    b.table.drop(columns="p6", inplace=True)
    assert difference(a, b) == "a knows 7 classes, b 6."


def test_wrong_runs_are_one_sentence(tmp_path, run_main):
    good = make_run(tmp_path / "good", 0)

    def refusal(*args):
        sentence, text = run_main(compare, *args)
        assert text == ""
        return sentence

    assert "nowhere is no run folder: it has no result.json" in refusal(good, tmp_path / "nowhere")
    assert f"{good} is named twice" in refusal(good, good)
    assert f"Name the folder, {good}." in refusal(good, good / "result.json")
    (tmp_path / "study").mkdir()
    one = make_run(tmp_path / "study" / "s0", 0)
    assert f"it has no result.json. Name the run in it: {one}" in refusal(good, tmp_path / "study")
    make_run(tmp_path / "study" / "s1", 0)
    assert "Name one of the runs in it" in refusal(good, tmp_path / "study")
    assert "its status is failed" in refusal(good, make_run(tmp_path / "failed", 0, status="failed"))
    for name, text in (("result.json", "{"), ("predictions.parquet", "PAR1")):
        damaged = make_run(tmp_path / f"damaged {name}", 0)
        (damaged / name).write_text(text)
        assert str(damaged / name) in refusal(good, damaged)
    poor = make_run(tmp_path / "poor", 0)
    write_result(poor, {key: value for key, value in read_result(poor).items() if key not in ("data", "model")})
    assert "it says nothing of data, model" in refusal(good, poor)
    assert "predictions.parquet is damaged" in refusal(good, make_run(tmp_path / "twice", 0, rows=[1, 1, 2]))
    other = make_run(tmp_path / "other", 1)
    assert "there is no folder" in refusal(good, other, "--json", tmp_path / "no" / "c.json")
    assert "it is a folder" in refusal(good, other, "--csv", tmp_path)
    record = (good / "result.json").read_text()
    for option in ("--json", "--csv"):
        assert f"{good / 'result.json'} is not of this program" in refusal(good, other, option, good / "result.json")
    assert (good / "result.json").read_text() == record


@pytest.fixture
def runs(command, tmp_path):
    """Two real runs of about a second: other activation, other seed."""
    for name, *overrides in (("a", "head.act=relu", "seed=0"), ("b", "head.act=gelu", "seed=1", "trainer.max_epochs=4")):
        done = command(*TINY, "data.test=64", "logger=csv", f"hydra.run.dir={name}", *overrides)
        assert done.code == 0, done.text
    return tmp_path / "a", tmp_path / "b"


def test_two_real_runs(runs, tmp_path, run_main):
    sentence, text = run_main(compare, *runs, "--json", tmp_path / "c.json", "--csv", tmp_path / "c.csv")
    assert sentence is None
    assert run_main(compare, *runs, "--json", tmp_path / "c.json", "--csv", tmp_path / "c.csv")[0] is None  # over its own
    written = json.loads((tmp_path / "c.json").read_text())
    results = [read_result(run) for run in runs]
    for side, result in zip("ab", results):
        test = result["metrics"]["test"]
        assert written["metrics"]["test"]["accuracy"][side] == test["accuracy"]
        assert written["metrics"]["test"]["recall sad"][side] == test["per_class"]["sad"]["recall"]
        assert written["paired"]["all"]["accuracy"][side] == pytest.approx(test["accuracy"], abs=1e-6)
        assert written["paired"]["all"]["macro_f1"][side] == pytest.approx(test["macro_f1"], abs=1e-6)
        assert written["paired"]["clean"]["accuracy"][side] == pytest.approx(test["accuracy_clean"], abs=1e-6)
        assert written["paired"]["clean"]["n"] == test["n_clean"]
    assert written["config"]["head.act._target_"] == {"a": "torch:ReLU", "b": "torch:GELU"}
    assert written["config"]["trainer.max_epochs"] == {"a": 2, "b": 4} and written["config"]["seed"] == {"a": 0, "b": 1}
    assert not any("dir" in key or "root" in key for key in written["config"])
    assert "started" not in written["environment"]

    changed = pd.read_csv(tmp_path / "c.csv")
    assert list(changed) == ["row", "split", "label", "prediction_a", "probability_a", "prediction_b", "probability_b", "clean", "change"]
    assert len(changed) == round(written["paired"]["all"]["churn"] * 64) == sum(flow["pictures"] for flow in written["flows"])
    assert written["changes"][-1]["pictures"] == 64
    accuracy = written["paired"]["all"]["accuracy"]
    assert (changed["change"] == "wrong -> right").sum() == accuracy["only_b"]
    assert (changed["change"] == "right -> wrong").sum() == accuracy["only_a"]
    method = "these two trained networks, not two methods"
    for words in (method, "The least difference with p < .05", "trainer.max_epochs", "macro F1, clean"):
        assert words in text
    assert "head.dropout" not in text

    sentence, text = run_main(compare, *runs, "--split", "val")
    assert sentence is None and "accuracy, all 32" in text and "lean pictures are left out" not in text
    assert changed_images(*map(read_run, runs), "val")["split"].eq("val").all()


def test_a_config_and_metrics_that_cannot_be_read(tmp_path):
    run = read_run(make_run(tmp_path / "a", 0))
    (tmp_path / "a" / ".hydra").mkdir()
    (tmp_path / "a" / ".hydra" / "config.yaml").write_text("seed: ${nothing}\n")
    with pytest.raises(UserError, match=r"config.yaml cannot be read"):
        run.settings()
    (tmp_path / "a" / "metrics.csv").write_text("epoch,val/loss\n0,1.5\n1\n")
    with pytest.raises(UserError, match=r"metrics.csv is damaged"):
        run.epochs()


def test_comparing_needs_no_torch():
    modules = "fer_lightning.analysis.comparison, fer_lightning.analysis.comparison_findings"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
