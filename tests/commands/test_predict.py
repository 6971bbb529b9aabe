"""A trained run on pictures of a user's own, and where it looks."""

import zlib

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
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
    write_weights(network, cfg, tmp_path)
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
