"""A run as files for other programs: they compute what the run computes, and an export from a stranger runs nothing."""

import json

import numpy as np
import pytest
import torch
import yaml
from helpers.project import TINY

from fer_lightning.data.faces import CLASSES
from fer_lightning.export import main
from fer_lightning.process.errors import UserError
from fer_lightning.shipping.onnx_file import check_onnx, run_onnx, session, write_onnx
from fer_lightning.shipping.weights_folder import read_weights
from fer_lightning.shipping.whole_network import WholeNetwork
from fer_lightning.training.inference import probabilities
from fer_lightning.training.restore import restore_module
from fer_lightning.transforms.prepare import InputSpec
from fer_lightning.transforms.views import Views

pytest.importorskip("onnxscript")


@pytest.fixture
def run(command, tmp_path):
    assert command(*TINY, "logger=csv", "evaluation=flip", "trainer.max_epochs=4", "hydra.run.dir=run").code == 0
    return tmp_path / "run"


def some_faces(number=64):
    return np.random.default_rng(3).integers(0, 256, (number, 1, 48, 48), dtype=np.uint8)


def test_every_form_computes_what_predict_computes(run, command, tmp_path):
    done = command("run", "out", main=main)
    assert done.code == 0, done.text
    faces = some_faces()
    expected = probabilities(run, faces)
    np.testing.assert_allclose(run_onnx(session(tmp_path / "out" / "model.onnx"), faces), expected, atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(read_weights(tmp_path / "out")(torch.from_numpy(faces)), expected, atol=1e-6)
    rounded = run_onnx(session(tmp_path / "out" / "model.int8.onnx"), faces)
    assert 0 < np.abs(rounded - expected).max() < 0.2
    for form in ("torch", "ONNX", "ONNX, int8"):
        assert f"│ {form} " in done.text
    card = (tmp_path / "out" / "README.md").read_text()
    test = json.loads((run / "result.json").read_text())["metrics"]["test"]
    assert f"accuracy {100 * test['accuracy']:.2f} %" in card and "Do not use it to judge people" in card and ", ".join(CLASSES) in card
    assert str(tmp_path) not in card + (tmp_path / "out" / "network.yaml").read_text()
    # A second export replaces the first as a whole; a folder with anything else in it stays as it is.
    assert command("run", "out", "--no-int8", main=main).code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "model.onnx", "model.safetensors", "network.yaml"]
    (tmp_path / "out" / "mine.txt").write_text("kept")
    done = command("run", "out", main=main)
    assert done.code == 1 and "holds other files (mine.txt)" in done.text


def test_an_export_that_fails_changes_nothing(run, command, tmp_path, monkeypatch):
    assert command("run", "out", "--no-int8", main=main).code == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fer_lightning.shipping.export_run.card", stop)
    for folder in ("out", "new"):
        assert command("run", folder, "--no-int8", main=main).code == 130
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_without_the_data_there_is_no_int8(run, command, tmp_path, monkeypatch):
    monkeypatch.delenv("FER2013_ROOT", raising=False)
    config = run / ".hydra" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["data"] = {"_target_": "fer_lightning.data.fer2013.read", "root": "nowhere"}
    config.write_text(yaml.safe_dump(settings))
    done = command("run", "out", main=main)
    assert done.code == 1 and "nowhere" in done.text and "--no-int8" in done.text and not (tmp_path / "out").exists()
    done = command("run", "out", "--no-int8", main=main)
    assert done.code == 0 and "test %" not in done.text, done.text
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "model.onnx", "model.safetensors", "network.yaml"]


class Wide(torch.nn.Module):
    """Enlarges, has three channels and a norm: what most pretrained backbones do."""

    num_features = 4
    input_spec = InputSpec(size=64, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.3))

    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 5, stride=4), torch.nn.BatchNorm2d(4)

    def forward(self, images):
        return self.norm(self.conv(images)).relu().mean((2, 3))


@pytest.mark.parametrize("views", [Views("ten_crop", 40, "probabilities"), Views("none", 46)], ids=["ten_crop", "centre"])
def test_views_and_resizing_are_in_the_file(tmp_path, views):
    torch.manual_seed(0)
    network = WholeNetwork(Wide(), torch.nn.Linear(4, 7), views)
    write_onnx(network, tmp_path / "x.onnx", {})
    assert check_onnx(tmp_path / "x.onnx", network, some_faces(9)) < 1e-6
    other = WholeNetwork(Wide(), torch.nn.Linear(4, 7), views)
    with pytest.raises(UserError, match="does not compute what the run computes"):
        check_onnx(tmp_path / "x.onnx", other, some_faces(9))


def test_the_whole_network_is_the_softmax_of_the_modules_logits(run):
    _, module = restore_module(run)
    module.views = Views("flip")
    network, faces = WholeNetwork(module.backbone, module.head, module.views), torch.from_numpy(some_faces())
    with torch.inference_mode():
        np.testing.assert_allclose(network(faces), module.logits(faces).softmax(1), atol=1e-6)


def test_a_strangers_folder_runs_nothing(run, command, tmp_path):
    assert command("run", "out", "--no-int8", main=main).code == 0
    out = tmp_path / "out"
    good = yaml.safe_load((out / "network.yaml").read_text())
    for target in ("os.system", "torch.load", "fer_lightning.export.main"):
        (out / "network.yaml").write_text(yaml.safe_dump(good | {"backbone": {"_target_": target}}))
        with pytest.raises(UserError, match="_target_"):
            read_weights(out)
    (out / "network.yaml").write_text(yaml.safe_dump(good | {"head": good["head"] | {"hidden": 31}}))
    with pytest.raises(UserError, match="damaged"):
        read_weights(out)
    (out / "network.yaml").write_text(yaml.safe_dump(good))
    weights = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UserError, match="damaged"):
        read_weights(out)
    (out / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        read_weights(out)


def test_a_run_that_is_not_finished(tmp_path, process):
    done = process("fer_lightning.export", tmp_path)
    assert done.code == 1 and "holds no finished run" in done.text and "Traceback" not in done.text
