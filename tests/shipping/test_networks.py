"""Networks of runs, studies and exports, and the packaged one: the same answer from every form, and a sentence for what is none."""

import json
import shutil

import numpy as np
import pytest
import yaml
from helpers.exported_study import exported_study

from fer_lightning.data.faces import CLASSES
from fer_lightning.process.errors import UserError
from fer_lightning.shipping import networks
from fer_lightning.shipping.networks import load
from fer_lightning.training.inference import probabilities

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

FACES = np.random.default_rng(1).integers(0, 256, (9, 1, 48, 48), dtype=np.uint8)


@pytest.fixture
def study(tmp_path, tmp_path_factory):
    """A copy, so that a test may change it."""
    return shutil.copytree(exported_study(tmp_path_factory.getbasetemp()), tmp_path / "cells")


def without_onnx_runtime(monkeypatch):
    monkeypatch.setattr(networks, "find_spec", lambda name: None)


def test_a_run_answers_by_its_export_and_else_by_torch(study, monkeypatch):
    run = study / "relu-s0"
    expected = probabilities(run, FACES)
    for name in (run, run / "export", run / "export" / "model.onnx"):
        network = load([name])
        assert "ONNX Runtime" in network.name and network.classes == CLASSES
        np.testing.assert_allclose(network.answer(FACES), expected, atol=1e-4)
    without_onnx_runtime(monkeypatch)
    for name in (run, run / "export"):
        assert load([name]).name == f"{name}, torch"
        np.testing.assert_allclose(load([name]).answer(FACES), expected, atol=1e-6)
    with pytest.raises(UserError, match=r"needs ONNX Runtime: pip install 'fer_lightning\[photos\]'"):
        load([run / "export" / "model.onnx"])


def test_the_export_of_another_job_is_not_the_run(study):
    run = study / "gelu-s0"
    shutil.copytree(study / "relu-s0" / "export", run / "export")
    assert load([run]).name == f"{run}, torch"
    np.testing.assert_array_equal(load([run]).answer(FACES), probabilities(run, FACES))


def test_several_runs_are_their_mean(study):
    runs = [study / "relu-s0", study / "gelu-s1"]
    expected = np.mean([probabilities(run, FACES) for run in runs], axis=0)
    network = load(runs)
    assert network.name.startswith("mean of 2 networks:")
    np.testing.assert_allclose(network.answer(FACES), expected, atol=1e-4)


def test_a_study_is_its_best_cell_by_validation(study):
    for run in study.glob("*-s*"):
        result = json.loads((run / "result.json").read_text())
        result["metrics"]["val"]["accuracy"] = 0.75 if run.name.startswith("gelu") else 0.5
        result["metrics"]["test"]["accuracy"] = 0.25 if run.name.startswith("gelu") else 0.99  # which must not choose
        (run / "result.json").write_text(json.dumps(result))
    network = load([study])
    assert "its best cell by validation, gelu (75.00%): mean of 2 networks" in network.name
    expected = np.mean([probabilities(study / f"gelu-s{seed}", FACES) for seed in (0, 1)], axis=0)
    np.testing.assert_allclose(network.answer(FACES), expected, atol=1e-6)
    # Runs that were gathered by hand are no cells: the best one.
    for run in study.glob("*-s*"):
        result = json.loads((run / "result.json").read_text())
        result["job"]["study"] = None
        result["metrics"]["val"]["accuracy"] = 0.9 if run.name == "relu-s1" else 0.5
        (run / "result.json").write_text(json.dumps(result))
    (study / "study.json").unlink()
    np.testing.assert_allclose(load([study]).answer(FACES), probabilities(study / "relu-s1", FACES), atol=1e-6)


def test_the_packaged_weights_are_an_export_in_the_package(study, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="This installation has no packaged weights: give a run"):
        monkeypatch.setattr(networks, "PACKAGED", tmp_path / "weights")
        load([])
    shutil.copytree(study / "relu-s0" / "export", tmp_path / "weights")
    expected = probabilities(study / "relu-s0", FACES)
    assert load([]).name == "the weights that come with this installation, by ONNX Runtime"
    np.testing.assert_allclose(load([]).answer(FACES), expected, atol=1e-4)
    (tmp_path / "weights" / "model.onnx").unlink()
    assert load([]).name == "the weights that come with this installation, by torch"
    np.testing.assert_allclose(load([]).answer(FACES), expected, atol=1e-6)


def test_what_is_no_network_is_one_sentence(study, tmp_path):
    run, file = study / "relu-s0", study / "relu-s0" / "export" / "model.onnx"
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "nameless.onnx")
    foreign = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 18]> g (float[1] x) => (float[1] y) {y = Identity(x)}')
    onnx.save(foreign, tmp_path / "foreign.onnx")
    for name in ("nameless.onnx", "foreign.onnx"):
        with pytest.raises(UserError, match=f"{name} is no network from faces"):
            load([tmp_path / name])
    (tmp_path / "link.onnx").symlink_to(file)
    file.write_bytes(file.read_bytes()[:1000])
    for path in (file, tmp_path / "link.onnx", run):
        with pytest.raises(UserError, match="is damaged, or no ONNX file"):
            load([path])
    (run / "result.json").unlink()
    with pytest.raises(UserError, match="relu-s0 holds no finished run"):
        load([run])


def test_networks_with_other_classes_have_no_mean(study, tmp_path):
    model = onnx.load(study / "relu-s0" / "export" / "model.onnx")
    (classes,) = (entry for entry in model.metadata_props if entry.key == "classes")
    classes.value = json.dumps(list("abcdefg"))
    onnx.save(model, tmp_path / "letters.onnx")
    assert load([tmp_path / "letters.onnx"]).classes == tuple("abcdefg")
    with pytest.raises(UserError, match="knows a, b, c, d, e, f, g, and .* angry, .*: no mean"):
        load([tmp_path / "letters.onnx", study / "relu-s0"])


def test_a_run_that_diverged_has_no_answer(study):
    run = study / "gelu-s1"
    import torch

    checkpoint = torch.load(run / "checkpoints" / "best.ckpt", weights_only=False)
    for tensor in checkpoint["state_dict"].values():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))
    torch.save(checkpoint, run / "checkpoints" / "best.ckpt")
    with pytest.raises(UserError, match="its training diverged"):
        load([run]).answer(FACES)


def test_a_config_from_anyone_builds_nothing(study):
    run = study / "gelu-s1"
    config = run / ".hydra" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["backbone"]["_target_"] = "os.system"
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match=r"backbone\._target_=os\.system is refused"):
        load([run])


def test_an_onnx_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(UserError, match=r"missing\.onnx: there is no such file\.$"):
        load([tmp_path / "missing.onnx"])


def test_the_packaged_weights_answer_by_both_forms_alike(monkeypatch):
    fast = load([])
    assert fast.name == "the weights that come with this installation, by ONNX Runtime"
    without_onnx_runtime(monkeypatch)
    slow = load([])
    assert slow.name == "the weights that come with this installation, by torch"
    np.testing.assert_allclose(fast.answer(FACES), slow.answer(FACES), atol=1e-4)
