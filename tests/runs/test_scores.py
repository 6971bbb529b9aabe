"""The table of scores: it agrees with the formulas, and a new row shows up wherever scores are shown."""

import numpy as np
import pandas as pd
import pytest
import torch

from fer_lightning.analysis import report, tables
from fer_lightning.analysis.study_record import gather
from fer_lightning.model import metrics
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs import scores
from fer_lightning.runs.result import write_result
from fer_lightning.runs.scores import SCORES, Score, direction, is_percent
from fer_lightning.training.evaluate import agreement


def some_predictions(seed, n=70):
    labels = torch.arange(n) % 7
    logits = torch.randn((n, 7), generator=torch.Generator().manual_seed(seed)) + torch.nn.functional.one_hot(labels, 7)
    return logits, labels, torch.arange(n)


def test_the_table_and_the_formulas_agree():
    logits, labels, rows = some_predictions(0)
    assert set(metrics.score(logits, labels)) == {score.name for score in SCORES if score.of == "part"}
    assert set(agreement(logits, torch.full((70, 7), 1 / 7))) == {score.name for score in SCORES if score.of == "votes"}
    test = metrics.score_parts({"test": (logits, labels, rows)}, rows % 2 == 0)["test"]
    known = {score.name for score in SCORES} | {"n", "n_clean", "per_class", "confusion"}
    assert set(test) <= known and len({score.name for score in SCORES}) == len(SCORES)


def test_better_scores_get_better_in_their_direction():
    logits, labels, _ = some_predictions(0)
    worse, better = metrics.score(logits, labels), metrics.score(logits + 3 * torch.nn.functional.one_hot(labels, 7), labels)
    for name in worse:
        assert (better[name] > worse[name]) == (direction("monitor", f"val/{name}") == "max"), name


def test_shares_are_percentages():
    logits, labels, _ = some_predictions(1)
    assert all(0 <= value <= 1 for name, value in metrics.score(logits, labels).items() if is_percent(name))
    assert is_percent("accuracy_ten_crop") and is_percent("recall happy") and not is_percent("loss") and not is_percent("ferplus_kl")


@pytest.mark.parametrize("monitor", ["test/accuracy", "val/accuracy_clean", "val/nonsense", "accuracy"])
def test_only_validation_scores_are_monitored(monitor):
    with pytest.raises(ConfigError, match=f"monitor={monitor}: there is no such score"):
        direction("monitor", monitor)


def test_a_new_score_is_a_row_and_a_formula(tmp_path, monkeypatch):
    def score(logits, labels, known=metrics.score):
        return known(logits, labels) | {"sureness": logits.softmax(1).amax(1).mean().item()}

    monkeypatch.setattr(metrics, "score", score)
    monkeypatch.setattr(scores, "SCORES", (*SCORES, Score("sureness", "sureness", "max", ranked="sureness", tested=True)))
    assert direction("monitor", "val/sureness") == "max"
    measured = {}
    for number, act in enumerate(("gelu", "relu")):
        for seed in range(3):
            parts = {part: some_predictions(10 * number + seed + 100 * (part == "val")) for part in ("val", "test")}
            measured[f"{act}-s{seed}"] = metrics.score_parts(parts, None)
            job = {"id": "x", "study": "s", "cell": {"head.act": act}, "seed": seed, "overrides": []}
            result = {"status": "done", "protocol": "official", "data": {"verdict": "official"}, "selected": {"epoch": 0}, "job": job}
            (tmp_path / f"{act}-s{seed}").mkdir()
            write_result(tmp_path / f"{act}-s{seed}", result | {"metrics": measured[f"{act}-s{seed}"] | {"train": None}})
    assert report.report(tmp_path) == 0
    table = pd.read_csv(tmp_path / "results.csv").set_index("name")
    for name, parts in measured.items():
        for part in ("val", "test"):
            assert table.loc[name, f"{part}_sureness"] == pytest.approx(parts[part]["sureness"])
    study = gather(tmp_path)
    mean = np.mean([parts["test"]["sureness"] for name, parts in measured.items() if name.startswith(study.cells.index[0])])
    assert tables.ranking(study)["sureness"][0].startswith(f"{mean:.4f} ± ")
    assert tables.runs(study)["sureness"].tolist() == [f"{parts['test']['sureness']:.4f}" for parts in measured.values()]
    text = (tmp_path / "report.md").read_text()
    assert text.count("| sureness |") > 1, "among the secondary outcomes"
    header = next(line for line in text.splitlines() if line.startswith("| rank |"))
    assert "| sureness |" in header, "in the ranking"
