import json

import numpy as np
import pytest
import torch
from helpers.project import TINY, run_folders

from fer_lightning.process.errors import UserError
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.training.restore import restore
from fer_lightning.training.svm_on_features import evaluate_svm, fit_svm

pytest.importorskip("sklearn")


@pytest.fixture
def run(command, tmp_path):
    done = command(*TINY, "logger=csv", "data.train=300", "data.val=64", "data.test=64")
    assert done.code == 0, done.text
    return run_folders(tmp_path)[0]


def test_a_run_comes_back_with_the_weights_that_were_tested(run):
    _, _, data, module = restore(run)
    hits = []
    with torch.inference_mode():
        for pixels, labels, _ in data.test_dataloader():
            hits.append(module.logits(pixels).argmax(1) == labels)
    assert torch.cat(hits).float().mean().item() == pytest.approx(read_result(run)["metrics"]["test"]["accuracy"], abs=0.05)


def test_a_machine_on_the_features_of_a_run(run):
    result = evaluate_svm(run, [0.01, 1.0], "linear")
    assert result == json.loads((run / "svm.json").read_text(), object_hook=_floats)
    assert result["num_features"] == 16 and result["test"]["n"] == 64
    assert result["val_accuracy"][result["C"]] == max(result["val_accuracy"].values())


def _floats(node):
    return {float(k) if k.replace(".", "").isdigit() else k: v for k, v in node.items()}


def test_validation_chooses_the_cost():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 400)
    centres = rng.normal(size=(7, 12)) * 3
    x = centres[labels] + rng.normal(size=(400, 12))
    machine, cost, tried = fit_svm({"train": (x[:300], labels[:300]), "val": (x[300:], labels[300:])}, [1e-6, 0.1], "rbf")
    assert cost == 0.1 and tried[0.1] > 0.9 > tried[1e-6]
    assert machine.score(x[300:], labels[300:]) == tried[0.1]


def test_no_finished_run(tmp_path, process):
    with pytest.raises(UserError, match=r"holds no finished run: no result.json"):
        evaluate_svm(tmp_path, [1.0], "linear")
    write_result(tmp_path, {"status": "failed"})
    done = process("fer_lightning.svm", tmp_path)
    assert done.code == 1 and "its status is failed" in done.text and "Traceback" not in done.text


def test_parts_that_a_machine_cannot_use(command, tmp_path):
    """A test image with a twin leaves no clean score, and a single class cannot be learnt."""
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.integers(0, 256, 2304))) for _ in range(6)]
    splits = ["Training"] * 4 + ["PublicTest", "PrivateTest"]
    for labels in ([0, 1, 2, 3, 4, 0], [3] * 6):
        rows = [f"{label},{text},{split}" for label, text, split in zip(labels, [*texts[:5], texts[0]], splits, strict=True)]
        table = tmp_path / f"{labels[0]}.csv"
        table.write_text("\n".join(["emotion,pixels,Usage", *rows]))
        settings = [option for option in TINY if not option.startswith("data")]
        done = command(*settings, f"data.root={table}", "data.accept_modified=true", "logger=csv", f"hydra.run.dir=run{labels[0]}")
        assert done.code == 0, done.text
    test = evaluate_svm(tmp_path / "run0", [1.0], "linear")["test"]
    assert test["accuracy_clean"] is None and test["n_clean"] == 0
    with pytest.raises(UserError, match="all of one class"):
        evaluate_svm(tmp_path / "run3", [1.0], "linear")
