"""A study on a user's own images, from the folder to the exported network, and its runs on other data."""

import json
import shlex
import shutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from helpers.own_images import COLOURS, draw_images
from helpers.project import ROOT, compose, squeeze

from fer_lightning import evaluate, export, report
from fer_lightning.analysis.study_record import gather
from fer_lightning.config.identity import job_id
from fer_lightning.predict import main as predict_main
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.evaluations import read_evaluations
from fer_lightning.runs.predictions import part_of, probabilities, read_predictions
from fer_lightning.runs.result import read_result
from fer_lightning.training.build import check_crops
from fer_lightning.training.on_other_data import intervals

NAMES = sorted(COLOURS)
IMAGES = ["data=image_folder", "data.root=images"]
FEW = ["trainer=smoke", "trainer.max_epochs=4", "batch_size=16", "backbone.widths=[8,8,16]", "logger=csv"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder for a study of two cells, whichever test trains it."""
    return tmp_path_factory.mktemp("own")


@pytest.fixture
def study(trained, command, tmp_path):
    """multirun/NAME in the current folder, trained once for all tests."""
    draw_images(tmp_path / "images")
    if not (trained / "multirun").exists():
        more = ["loss.weights=balanced", "+augment.mixup=0.1", "head.norm=none,bn", "hydra.sweep.dir=multirun/NAME"]
        done = command("-m", *IMAGES, *FEW, *more)
        assert done.code == 0, done.text
        shutil.copytree(tmp_path / "multirun", trained / "multirun")
    else:
        shutil.copytree(trained / "multirun", tmp_path / "multirun")
    # Its data are where this test has them.
    for path in (tmp_path / "multirun" / "NAME").glob("*/result.json"):
        result = json.loads(path.read_text())
        result["data"]["source"] = str(tmp_path / "images")
        path.write_text(json.dumps(result))
    return tmp_path / "multirun" / "NAME"


def test_a_study_on_four_colours_from_folder_to_network(study, command, tmp_path):
    for run in ("bn-s0", "none-s0"):
        result = read_result(study / run)
        assert result["data"]["classes"] == NAMES and result["data"]["verdict"] == "own" and result["data"]["size"] == 48
        assert result["data"]["counts"]["train"] == dict.fromkeys(NAMES, 12)
        test = result["metrics"]["test"]
        assert list(test["per_class"]) == NAMES and np.shape(test["confusion"]) == (4, 4) and np.sum(test["confusion"]) == 24
        assert probabilities(read_predictions(study / run)).shape == (44, 4)
    assert max(read_result(study / run)["metrics"]["test"]["accuracy"] for run in ("bn-s0", "none-s0")) > 0.4  # chance: 0.25

    assert command(str(study), main=report.main).code == 0
    page, text = (study / "report.html").read_text(), (study / "report.md").read_text()
    assert "deep blue" in page and "data:image/png" in page and "surprise" not in page and "On other data" not in text

    image = tmp_path / "images" / "test" / "deep blue" / "0.jpg"
    done = command(str(study / "bn-s0"), str(image), "--csv", "out.csv", main=predict_main)
    table = pd.read_csv(tmp_path / "out.csv")
    assert done.code == 0 and list(table)[2:] == NAMES and table.prediction[0] in done.text
    whole = part_of(read_predictions(study / "bn-s0"), "test")
    row = next(i for i, path in enumerate(sorted((tmp_path / "images" / "test").rglob("*.*"), key=str)) if path == image)
    # The test ran in the precision of training.
    np.testing.assert_allclose(table[NAMES].to_numpy()[0], probabilities(whole)[row], atol=2e-2)


def test_an_export_has_the_classes_of_the_data(study, command, tmp_path):
    pytest.importorskip("onnxscript")
    import onnx

    done = command(str(study / "bn-s0"), "out", main=export.main)
    assert done.code == 0, done.text
    facts = {entry.key: entry.value for entry in onnx.load(tmp_path / "out" / "model.onnx").metadata_props}
    assert json.loads(facts["classes"]) == NAMES
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"(B, 4): {', '.join(NAMES)}" in card and "FER-2013" not in card
    from fer_lightning.shipping.weights_folder import read_weights

    assert read_weights(tmp_path / "out").head[-1].out_features == 4


def test_a_run_on_its_own_test_part_scores_what_it_scored(study, command):
    before = (study / "bn-s0" / "result.json").read_bytes()
    done = command(str(study / "bn-s0"), main=evaluate.main)
    assert done.code == 0, done.text
    ((file, record),) = read_evaluations(study / "bn-s0")[0].items()
    tested = read_result(study / "bn-s0")["metrics"]["test"]
    for name in ("accuracy", "accuracy_clean", "macro_f1", "n", "n_clean", "confusion", "per_class"):
        assert record["metrics"][name] == tested[name], name
    assert file in done.text and f"{100 * tested['accuracy']:.2f} (" in done.text and "deep blue" in done.text
    low, high = record["intervals"]["accuracy"]
    assert low < tested["accuracy"] < high and record["job"] == read_result(study / "bn-s0")["job"]["id"]
    assert (study / "bn-s0" / "result.json").read_bytes() == before


def test_a_study_on_other_data_is_in_its_report(study, command, tmp_path):
    """Of the new images one trained the runs, and a class has another name."""
    draw_images(tmp_path / "new", {"": 3}, {"amber": COLOURS["amber"], "Schwarz": COLOURS["black"], "red": (200, 0, 0)}, seed=1)
    shutil.copy(tmp_path / "images" / "train" / "amber" / "0.jpg", tmp_path / "new" / "amber" / "twin.jpg")
    words = ["on=image_folder", "on.root=new"]
    done = command(str(study), *words, main=evaluate.main)
    told = squeeze(done.text)
    assert done.code == 1 and "does not know the classes Schwarz, red of" in told and "labels={Schwarz: null, red: null}" in told
    assert not list(study.glob("*/evaluation-*"))
    done = command(str(study), *words, "labels={Schwarz:black, red: null}", main=evaluate.main)
    assert done.code == 0, done.text
    for run in ("bn-s0", "none-s0"):
        ((_, record),) = read_evaluations(study / run)[0].items()
        assert record["data"]["labels"] == {"Schwarz": "black", "amber": "amber"} and record["data"]["part"] == "all"
        assert record["metrics"]["n"] == 7 and record["metrics"]["n_clean"] == 6
        assert record["data"]["counts"] == {"amber": 4, "black": 3, "deep blue": 0, "white": 0}
    assert command(str(study), main=report.main).code == 0
    page, text = (study / "report.html").read_text(), (study / "report.md").read_text()
    assert "On other data" in page and text.count("| all | 1 | 7 |") == 2

    path = next((study / "bn-s0").glob("evaluation-*"))
    path.write_text('{"data": {"source": 1}}')
    assert command(str(study), main=report.main).code == 0
    assert f"bn-s0/{path.name} is damaged" in (study / "report.md").read_text()


HERE = ["on=image_folder", "on.root=images"]


@pytest.mark.parametrize(
    "words, told",
    [
        (["on=image_folder"], "on=image_folder needs on.root=FOLDER"),
        (["on=image_folder", "on.root=gone"], "gone does not exist. Name the folder of your images with on.root=FOLDER."),
        (["on=image_folders"], "on=image_folders: there is no such option"),
        (["on=synthetic", "on.sed=1"], "'on.sed'"),
        ([*HERE, "on.sise=48"], "'on.sise'"),
        ([*HERE, "labels={ambre: null}"], "labels names ambre, and there is no such class. Did you mean amber?"),
        ([*HERE, "labels={ämber: null}"], "labels names ämber, and there is no such class. Did you mean amber?"),
        ([*HERE, "labels={amber: red}"], "labels turns amber into red, and there is no such class."),
        ([*HERE, "labels=amber"], "labels=amber: give a class for each class that changes"),
        ([*HERE, "labels={amber"], "labels={amber: give a class for each class that changes"),
        (["on=synthetic"], "does not know the classes angry, disgust, fear, happy, sad, surprise, neutral of synthetic faces"),
    ],
)
def test_a_wrong_input_is_one_sentence(study, command, words, told):
    done = command(str(study / "bn-s0"), *words, main=evaluate.main)
    assert done.code == 1 and told in squeeze(done.text) and "Traceback" not in done.text
    assert not list(study.glob("*/evaluation-*"))


def test_a_run_must_be_named(command, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "Name a run, or a study" in command("on=synthetic", main=evaluate.main).text
    assert "holds no finished run" in command("empty", main=evaluate.main).text


def shown():
    lines = (ROOT / "docs" / "data.md").read_text().splitlines()
    return [line.strip() for line in lines if line.startswith("    python -m fer_lightning")]


@pytest.mark.parametrize("line", [pytest.param(line, marks=[pytest.mark.slow] * (" -m data=" in line)) for line in shown()])
def test_a_command_of_the_page_works(study, command, line):
    _, _, module, *args = shlex.split(line)
    args = [{"RUN": "multirun/NAME/bn-s0"}.get(arg, arg.replace("FOLDER", "images").replace("CLASS", "amber")) for arg in args]
    main = import_module("fer_lightning.sweep.command" if module == "fer_lightning" else module).main
    done = command(*args, *(FEW if module == "fer_lightning" else ()), main=main)
    assert done.code == 0, done.text
    if module != "fer_lightning":
        assert gather(study).evaluations


def test_a_folder_is_part_of_the_identity_and_other_copies_of_fer2013_are_not():
    ids = [job_id(compose("data=image_folder", f"data.root={root}")) for root in ("a", "b")]
    assert ids[0] != ids[1] == job_id(compose("data=image_folder", "data.root=b", "data.cache_dir=c"))
    assert job_id(compose("data.root=a")) == job_id(compose("data.root=b"))


def test_twins_across_parts_are_counted_before_training(tmp_path, command):
    root = draw_images(tmp_path / "images", {"train": 4, "val": 2, "test": 2}, {name: COLOURS[name] for name in NAMES[:2]})
    shutil.copy(root / "train" / "amber" / "0.jpg", root / "test" / "amber" / "9.jpg")
    done = command(*IMAGES, *FEW, "batch_size=4", "hydra.run.dir=run")
    assert done.code == 0 and "1 of 5 test images are identical to one that trains or selects" in squeeze(done.text), done.text
    assert read_result(tmp_path / "run")["metrics"]["test"]["n_clean"] == 4  # of two classes


def test_a_sweep_on_a_folder_that_is_gone_writes_nothing(tmp_path, command):
    done = command("-m", *IMAGES, *FEW, "head.norm=none,bn", "hydra.sweep.dir=s")
    assert done.code == 1 and "images does not exist. Name the folder of your images with data.root=FOLDER." in squeeze(done.text)
    assert "Traceback" not in done.text and not (tmp_path / "s").exists()


def test_crops_are_of_the_images_that_there_are():
    cfg = compose("data=image_folder", "evaluation=ten_crop", "evaluation.size=40")
    check_crops(cfg, 48)
    with pytest.raises(ConfigError, match="evaluation.size=40: the images have 32 pixels, so it is at most 32"):
        check_crops(cfg, 32)


def test_intervals_hold_the_score_and_shrink_with_the_images():
    counts = np.array([[40, 10], [5, 45]])
    wide, narrow = (intervals({"accuracy": 0.85, "n": 100 * k, "confusion": (k * counts).tolist()}) for k in (1, 25))
    for name, value in (("accuracy", 0.85), ("macro_f1", (80 / 95 + 90 / 105) / 2)):
        assert wide[name][0] < narrow[name][0] < value < narrow[name][1] < wide[name][1]
    assert "macro_f1" not in intervals({"accuracy": 0.5, "n": 101, "confusion": counts.tolist()})  # an image without an answer
