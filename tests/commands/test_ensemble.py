"""Ensembles of finished runs: the mean, the gain, the run folder, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.made_run import make_run
from helpers.project import TINY
from helpers.written_runs import read_jobs

from fer_lightning import compare, ensemble, report
from fer_lightning.process.errors import UserError
from fer_lightning.runs.finished_run import read_run
from fer_lightning.runs.predictions import part_of, read_predictions
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.training import ensembling
from fer_lightning.training.ensembling import average, gain, members

P = [f"p{c}" for c in range(7)]


def test_the_mean_of_logits_is_that_of_the_logits():
    logits = torch.randn((3, 50, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    probabilities = logits.softmax(2).numpy()
    assert np.exp(average(probabilities, "logits")) == pytest.approx(logits.mean(0).softmax(1).numpy())
    assert np.exp(average(probabilities, "probabilities")) == pytest.approx(probabilities.mean(0))
    assert average(probabilities, "probabilities") == pytest.approx(torch.from_numpy(probabilities.mean(0)).log().numpy())


@pytest.mark.parametrize("of", ["probabilities", "logits"])
def test_a_probability_of_zero_leaves_a_finite_loss(of):
    certain = np.tile(np.eye(7, dtype=np.float32)[0], (2, 4, 1))
    mean = average(certain, of)
    assert np.isfinite(mean).all() and (mean.argmax(1) == 0).all()


def test_members_that_err_apart_mend_each_other():
    """Three members, each sure of its answer and wrong on a third of its own: 2/3 each, 1 together, 1/2 or so without one."""
    labels = np.arange(90) % 7
    sure = np.full((3, 90, 7), 0.02)
    for m in range(3):
        wrong = np.arange(90) % 3 == m
        sure[m, np.arange(90), np.where(wrong, (labels + 1) % 7, labels)] = 0.88
    found = gain(sure, labels, "probabilities")
    assert found["members"] == pytest.approx([2 / 3] * 3) and found["accuracy"] == 1 and found["n"] == 90
    assert [found[key] for key in ("gain", "low", "high")] == pytest.approx([1 / 3] * 3)  # every picture gains a third


def test_the_gain_by_brute_force():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 300)
    logits = rng.normal(size=(4, 300, 7)) + 1.5 * np.eye(7)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    found = gain(probabilities, labels, "logits")
    hits = [(member.argmax(1) == labels).mean() for member in logits]
    accuracy = (logits.mean(0).argmax(1) == labels).mean()
    assert found["members"] == pytest.approx(hits) and found["accuracy"] == pytest.approx(accuracy)
    assert found["gain"] == pytest.approx(accuracy - np.mean(hits)) and found["low"] < found["gain"] < found["high"]
    rest = [(logits[[m for m in range(4) if m != left]].mean(0).argmax(1) == labels).mean() for left in range(4)]
    assert found["without"] == pytest.approx(rest)


def test_an_ensemble_of_real_runs_is_a_run(command, tmp_path, run_main):
    done = command("-m", "seed=0,1", *TINY, "data.test=64", "evaluation=ten_crop", "logger=csv", "hydra.sweep.dir=multirun/mine")
    assert done.code == 0, done.text
    folders = [tmp_path / "multirun" / "mine" / f"s{seed}" for seed in (0, 1)]
    sentence, text = run_main(ensemble, "multirun/mine")
    assert sentence is None and "2 runs, mean of their probabilities" in text and "Members: s0, s1." in text
    (out,) = (tmp_path / "outputs" / "ensembles").iterdir()
    assert out.name.startswith("mine-x2-")

    tables = [pd.read_parquet(folder / "predictions.parquet") for folder in folders]
    own = pd.read_parquet(out / "predictions.parquet")
    assert list(own) == list(tables[0]) and own["split"].value_counts().to_dict() == {"test": 64, "val": 32}
    both = [table.set_index(["split", "row"]).loc[list(zip(own["split"], own["row"]))] for table in tables]
    mean = (both[0][P].to_numpy() + both[1][P].to_numpy()) / 2
    assert own[P].to_numpy() == pytest.approx(mean, abs=1e-6)
    result, first = read_result(out), read_result(folders[0])
    test = (own["split"] == "test").to_numpy()
    right = mean.argmax(1) == own["label"].to_numpy()
    clean = test & own["clean"].fillna(False).to_numpy(bool)
    assert result["metrics"]["test"]["accuracy"] == pytest.approx(right[test].mean())
    assert result["metrics"]["test"]["accuracy_clean"] == pytest.approx(right[clean].mean())
    assert result["metrics"]["val"]["accuracy"] == pytest.approx(right[~test].mean())
    crops = [part_of(read_predictions(folder, "ten_crop"), "test") for folder in folders]
    of_crops = (crops[0][P].to_numpy() + crops[1][P].to_numpy()) / 2
    right_of_crops = of_crops.argmax(1) == crops[0]["label"].to_numpy()
    assert part_of(read_predictions(out, "ten_crop"), "test")[P].to_numpy() == pytest.approx(of_crops, abs=1e-6)
    assert result["metrics"]["test"]["accuracy_ten_crop"] == pytest.approx(right_of_crops.mean())
    assert "test, ten crop" in text and set(result["gain"]) == {"val", "test", "val_ten_crop", "test_ten_crop"}
    likelihood = mean[np.arange(len(mean)), own["label"]]
    assert result["metrics"]["test"]["loss"] == pytest.approx(-np.log(likelihood[test]).mean(), abs=1e-5)

    assert set(result) >= set(first) - {"batch", "mirrors"} and set(result["metrics"]["test"]) == set(first["metrics"]["test"])
    assert [member["id"] for member in result["members"]] == [read_result(folder)["job"]["id"] for folder in folders]
    assert result["model"]["parameters"] == 2 * first["model"]["parameters"]
    assert result["time"]["total_s"] == sum(read_result(folder)["time"]["total_s"] for folder in folders)
    assert 0 <= result["metrics"]["test"]["n_clean"] <= result["metrics"]["test"]["n"] == 64

    sentence, text = run_main(compare, folders[0], out, "--json", tmp_path / "c.json")
    assert sentence is None and "accuracy, all 64" in text and "An ensemble has no settings of its own" in text
    assert json.loads((tmp_path / "c.json").read_text())["paired"]["all"]["accuracy"]["b"] == pytest.approx(right[test].mean())

    assert run_main(ensemble, *folders, "--average", "logits")[0] is None
    sentence, text = run_main(report, out.parent)
    assert sentence is None and "2 of 2 jobs done" in text
    jobs = read_jobs(out.parent)
    assert jobs["ensemble"].nunique() == 2 and set(jobs["status"]) == {"done"}

    assert run_main(ensemble, *folders, "--out", out)[0] is None  # the same ensemble again
    sentence, _ = run_main(ensemble, *folders, "--average", "logits", "--out", out)
    assert "holds another run" in sentence and read_result(out)["average"] == "probabilities"
    assert "lies in a study" in run_main(ensemble, *folders, "--out", "multirun/mine/both")[0]
    assert "holds something else" in run_main(ensemble, *folders, "--out", "multirun/mine")[0]


@pytest.fixture
def study(tmp_path):
    for seed in range(3):
        make_run(tmp_path / "study" / f"gelu-0.1-s{seed}", seed, cell={"head.act": "gelu", "optimizer.lr": 0.1})
    make_run(tmp_path / "study" / "relu-0.1-s0", 3, cell={"head.act": "relu", "optimizer.lr": 0.1}, clean=False)
    return tmp_path / "study"


def test_a_cell_is_named_by_its_keys(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(members([study])) == 4
    runs = members([study], {"head.act": "gelu", "optimizer.lr": "0.1"})
    assert [run.name for run in runs] == ["gelu-0.1-s0", "gelu-0.1-s1", "gelu-0.1-s2"]
    out, result = ensembling.ensemble(runs)
    assert out.name.startswith("gelu-0.1-x3-") and result["metrics"]["test"]["n_clean"] == 20 and result["metrics"]["val"] is None
    out, result = ensembling.ensemble(members([study]))
    assert out.name.startswith("mixed-x4-") and result["metrics"]["test"]["accuracy_clean"] is None


def test_wrong_members_are_one_sentence(study, tmp_path, run_main):
    one = study / "gelu-0.1-s0"

    def refusal(*args):
        sentence, text = run_main(ensemble, *args, "--out", tmp_path / "out")
        assert text == "" and not (tmp_path / "out").exists()
        return sentence

    assert "An ensemble needs two runs or more, and this is gelu-0.1-s0." in refusal(one)
    assert "A run is named twice" in refusal(one, one)
    assert "A run is named twice" in refusal(one, study)
    assert "is no run folder" in refusal(one, tmp_path / "nowhere")
    assert "these runs do not vary in head.atc. Did you mean head.act?" in refusal(study, "--cell", "head.atc=gelu")
    assert "no run has this value. Did you mean gelu or relu?" in refusal(study, "--cell", "head.act=gellu")
    assert "give each key once, as KEY=VALUE" in refusal(study, "--cell", "gelu")
    assert "give each key once" in refusal(study, "--cell", "head.act=gelu", "head.act=relu")
    assert "needs two runs or more" in refusal(study, "--cell", "head.act=relu")
    for name, other, reason in (
        ("protocol", {"protocol": "swapped"}, "ran under protocol official"),
        ("data", {"fingerprint": "g"}, "Their data are not the same"),
        ("rows", {"rows": range(50)}, "scored other test images"),
        ("labels", {"labels": torch.zeros(40, dtype=torch.int64)}, "have another label"),
    ):
        assert reason in refusal(one, make_run(tmp_path / name, 9, **other))
    diverged = make_run(tmp_path / "diverged", 9)
    table = pd.read_parquet(diverged / "predictions.parquet")
    table.loc[3, P] = np.nan
    table.to_parquet(diverged / "predictions.parquet")
    assert "diverged diverged" in refusal(one, diverged)
    write_result(study / "gelu-0.1-s1", read_result(study / "gelu-0.1-s1") | {"status": "failed"})
    assert "its status is failed" in refusal(study, "--cell", "head.act=gelu")
    with pytest.raises(UserError, match="its status is failed"):
        read_run(study / "gelu-0.1-s1")
