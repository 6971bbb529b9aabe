"""What a program of a user's own imports: it is light, typed, and gives what the commands give."""

import inspect
import shutil
import subprocess
import sys
import typing
from importlib import import_module

import numpy as np
import pytest
import torch
import yaml
from helpers.made_run import make_run
from helpers.project import ROOT
from helpers.trained_run import trained_run
from PIL import Image

import fer_lightning
from fer_lightning import FERDataModule, FERModule, FinishedRun, UserError, load_run, predict
from fer_lightning.data.faces import CLASSES

HEAVY = {"torch", "lightning", "numpy", "pandas", "hydra", "PIL"}


@pytest.fixture
def run(tmp_path_factory):
    return load_run(trained_run(tmp_path_factory.getbasetemp()))


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_light_and_each_name_comes_when_it_is_asked_for():
    code = f"import sys, fer_lightning; print({HEAVY} & set(sys.modules)); fer_lightning.UserError; print({HEAVY} & set(sys.modules))"
    assert python(code).split() == ["set()", "set()"]


def test_predict_is_the_function_whether_or_not_the_command_of_that_name_was_imported():
    before = fer_lightning.predict
    command = import_module("fer_lightning.predict")
    assert sys.modules["fer_lightning.predict"] is command and callable(command.main) and inspect.ismodule(command)
    assert fer_lightning.predict is before is predict and inspect.isfunction(predict)
    from fer_lightning.predict import main  # the command is reached by its path, as before

    assert main is command.main
    # Where nothing has asked for the function yet, the command does not take its place.
    assert python("import fer_lightning.predict; print('predict' in vars(fer_lightning))") == "False\n"


def test_other_commands_and_patched_names_are_attributes_as_in_any_package(monkeypatch):
    status = import_module("fer_lightning.status")
    assert fer_lightning.status is status
    monkeypatch.setattr(fer_lightning, "predict", None)
    assert fer_lightning.predict is None
    with pytest.raises(AttributeError, match="no attribute 'prodict'"):
        fer_lightning.prodict  # noqa: B018


def test_every_public_name_is_there_typed_and_documented():
    assert (ROOT / "fer_lightning" / "py.typed").exists()
    page = (ROOT / "docs" / "library.md").read_text()
    for name in fer_lightning.__all__:
        public = getattr(fer_lightning, name)
        assert name in page and public.__doc__ and name in dir(fer_lightning)
        if name in ("FERDataModule", "FERModule"):
            public = public.__init__
        elif inspect.isclass(public):
            continue
        hints = typing.get_type_hints(public)
        assert set(inspect.signature(public).parameters) - {"self"} <= set(hints), name


def test_a_finished_run_has_what_its_folder_has(run):
    assert isinstance(run, FinishedRun) and run.classes == CLASSES
    assert run.config.optimizer._target_ == "torch.optim.SGD" and run.config.trainer.max_epochs == 2
    assert list(run.metrics.index) == [0, 1] and 0 < run.metrics["train/loss"].iloc[-1] < 5
    assert run.result["metrics"]["test"]["accuracy"] == (of_test(run).label == answers(run)).mean()
    data = run.data()
    assert isinstance(data, FERDataModule) and len(data.pixels) == 160
    assert isinstance(run.module(), FERModule) and not run.module().training


def of_test(run):
    return run.predictions[run.predictions.split == "test"]


def answers(run):
    return of_test(run)[[f"p{c}" for c in range(7)]].to_numpy().argmax(1)


def test_predict_gives_the_probabilities_of_the_runs_own_evaluation(run, tmp_path):
    faces = run.data().pixels.numpy()[:5]
    expected = run.module().logits  # one view; the run averages two
    probabilities = predict(run.folder, faces)
    assert probabilities.shape == (5, 7) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(probabilities, predict(run, faces[..., ::-1]), atol=1e-5)  # an image and its mirror image
    import torch

    with torch.inference_mode():
        both = (expected(torch.from_numpy(faces)) + expected(torch.from_numpy(faces).flip(-1))) / 2
    np.testing.assert_allclose(probabilities, both.softmax(1), atol=1e-5)
    network = run.network()
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, face in zip(paths, faces):
        Image.fromarray(face[0]).save(path)
    np.testing.assert_allclose(predict(network, paths), probabilities, atol=1e-6)
    np.testing.assert_allclose(predict(network, str(paths[2])), probabilities[2:3], atol=1e-6)
    np.testing.assert_allclose(predict(network, faces[:, 0]), probabilities, atol=1e-6)


@pytest.mark.parametrize(
    ("pictures", "sentence"),
    [
        (np.zeros((2, 48, 48)), r"uint8 \(N, 48, 48\); found: float64 \(2, 48, 48\)"),
        (np.zeros((2, 47, 48), np.uint8), r"found: uint8 \(2, 47, 48\)"),
        (np.zeros((48, 48), np.uint8), r"found: uint8 \(48, 48\)"),
        (np.zeros((0, 48, 48), np.uint8), r"found: uint8 \(0, 48, 48\)"),
        ([], "There is no picture"),
        ("nowhere.png", "nowhere.png: cannot be read"),
        ([np.zeros((48, 48), np.uint8)], "found: list of ndarray"),
        (torch.zeros(1, 48, 48), "found: Tensor of Tensor"),
        (None, "found: NoneType of NoneType"),
    ],
)
def test_what_is_no_picture_is_one_sentence(run, pictures, sentence):
    with pytest.raises(UserError, match=sentence):
        predict(run, pictures)


def test_what_is_no_finished_run_is_one_sentence(run, tmp_path):
    with pytest.raises(UserError, match="is no run folder"):
        load_run(tmp_path)
    with pytest.raises(UserError, match="A run is a folder; found: NoneType"):
        load_run(None)
    with pytest.raises(UserError, match="holds no finished run"):
        predict(tmp_path / "nowhere", np.zeros((1, 48, 48), np.uint8))
    with pytest.raises(UserError, match="A run is a folder, what load_run gives, or its network.*; found: Linear"):
        predict(torch.nn.Linear(1, 1), np.zeros((1, 48, 48), np.uint8))
    ensemble = load_run(make_run(tmp_path / "bare", 1))
    for part in (lambda: ensemble.config, lambda: ensemble.metrics, ensemble.module, ensemble.network, ensemble.data):
        with pytest.raises(UserError):
            part()


def test_a_run_of_a_stranger_runs_nothing(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "foreign")
    settings = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
    for key in ("backbone", "evaluation"):
        hostile = settings | {key: {"_target_": "os.system", "command": f"touch {tmp_path}/ran"}}
        (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(hostile))
        foreign = load_run(folder)
        assert foreign.config[key]._target_ == "os.system"  # it may be read
        for part in (foreign.module, foreign.network, lambda: predict(folder, np.zeros((1, 48, 48), np.uint8))):
            with pytest.raises(UserError, match=rf"{key}\._target_=os\.system is refused"):
                part()
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(settings | {"data": {"_target_": "os.system", "command": "ls"}}))
    with pytest.raises(UserError, match=r"data\._target_=os\.system is refused"):
        load_run(folder).data()
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(settings | {"epochs": "${oc.env:MY_SECRET_KEY}"}))
    with pytest.raises(UserError, match="MY_SECRET_KEY"):
        print(load_run(folder).config)
