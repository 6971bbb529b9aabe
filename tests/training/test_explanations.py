"""Maps of where a network looks: Grad-CAM as computed by hand, rollout where attention is known, and on the pixels that were judged."""

import numpy as np
import pytest
import torch
from helpers.project import TINY, compose
from helpers.real_study import run_pair
from PIL import Image
from torch import nn

from fer_lightning.analysis.best_run import best_run
from fer_lightning.analysis.page.gallery import saliency_sheets
from fer_lightning.analysis.study_record import gather
from fer_lightning.explain import main
from fer_lightning.process.errors import UserError
from fer_lightning.runs.predictions import mistakes, read_predictions
from fer_lightning.training import explanation_sheet
from fer_lightning.training.build import build_net
from fer_lightning.training.explanation_sheet import draw_test_images
from fer_lightning.training.explanations import explanations, grad_cam, rollout
from fer_lightning.training.module import FERModule
from fer_lightning.training.restore import restore
from fer_lightning.transforms.prepare import InputSpec
from fer_lightning.transforms.views import Views

pytest.importorskip("captum", reason="no test of Grad-CAM: captum is not installed")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run_pair(tmp_path_factory.getbasetemp())


def some_faces(number):
    return torch.from_numpy(np.random.default_rng(5).integers(0, 256, (number, 1, 48, 48), dtype=np.uint8))


def network(*choice, size=None):
    torch.manual_seed(0)
    cfg = compose(*choice)
    return FERModule(*build_net(cfg, 7), None, augment=None, views=Views("none", size)).eval()


# One of each family, as small as it can be.
TRANSFORMER = ["backbone=transformers", "input_size=48", "+backbone.config.num_hidden_layers=2", "+backbone.config.hidden_size=32"]
TRANSFORMER += ["+backbone.config.num_attention_heads=2", "+backbone.config.intermediate_size=32"]
FAMILIES = {
    "compact": ["backbone=compact", "backbone.widths=[4,4,8]"],
    "batchnorm_cnn": ["backbone=batchnorm_cnn"],
    "mobilenet": ["backbone=mobilenet_v3_small"],
    "attention": ["backbone=mobilenet_attention"],
    "lite": ["backbone=efficientnet_lite0", "pretrained=false", "input_size=64"],
    "convnext": ["backbone=timm", "backbone.name=test_convnext", "input_size=64"],
    "vit": ["backbone=timm", "backbone.name=test_vit", "input_size=64"],
    "beit": TRANSFORMER,
}
LARGE = {
    "resnet": ["backbone=resnet18"],
    "vgg": ["backbone=vgg11"],
    "four_stage_vgg": ["backbone=four_stage_vgg"],
    "vgg_face": ["backbone=vgg_face", "input_size=64"],
    "imagenet": ["backbone=resnet50_imagenet", "pretrained=false", "input_size=64"],
    "timm_beit": ["backbone=timm", "backbone.name=beit_base_patch16_224", "input_size=64"],
    "swin": ["backbone=timm", "backbone.name=swin_tiny_patch4_window7_224"],
    "transformers_swin": ["backbone=transformers", "backbone.name=swin", "backbone.config=null"],
}
CHOICES = FAMILIES | LARGE


@pytest.mark.parametrize("family", [*FAMILIES, *(pytest.param(family, marks=pytest.mark.slow) for family in LARGE)])
def test_every_family_of_backbones_is_explained_by_what_it_is_made_of(family):
    module = network(*CHOICES[family], size=40)
    methods = explanations(module, some_faces(1))
    kind = ["attention rollout"] if family in ("vit", "beit", "timm_beit") else [] if "swin" in family else ["Grad-CAM"]
    assert list(methods) == ["saliency", *kind]
    outside = torch.ones(48, 48, dtype=torch.bool)
    outside[4:44, 4:44] = False
    for method in methods.values():
        maps = method(some_faces(2), torch.tensor([1, 3]))
        assert maps.shape == (2, 48, 48) and maps.min() >= 0 and maps.max() <= 1 and not maps[:, outside].any()


@pytest.mark.parametrize(("family", "layer"), [("compact", "stages"), ("batchnorm_cnn", "blocks.2.4")])
def test_grad_cam_is_what_plain_hooks_compute(family, layer):
    """The last map that is not pooled yet; weights are the mean gradients of its channels; then ReLU, enlarging, scaling."""
    module, pixels, classes = network(*CHOICES[family]), some_faces(3), torch.tensor([0, 3, 6])
    held = {}
    module.backbone.get_submodule(layer).register_forward_hook(lambda _, __, output: held.update(map=output.clone()) or held["map"])
    logits = module.logits(pixels)
    expected = []
    for i, c in enumerate(classes):
        gradient = torch.autograd.grad(logits[i, c], held["map"], retain_graph=True)[0][i]
        coarse = (gradient.mean((1, 2))[:, None, None] * held["map"][i]).sum(0).relu().detach()
        fine = nn.functional.interpolate(coarse[None, None], (48, 48), mode="bilinear")[0, 0]
        expected.append((fine - fine.min()) / (fine.max() - fine.min()).clamp(min=1e-12))
    assert any(map.max() == 1 for map in expected)
    found = explanations(module, pixels)["Grad-CAM"](pixels, classes)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-4)


class Corner(nn.Module):
    """Class c is the mean of channel c of a map: the image itself in channel 3, its mirror image in channel 1, nothing in the others."""

    input_spec = InputSpec(mean=(0.0,), std=(1.0,))
    num_features = 7

    def __init__(self):
        super().__init__()
        self.map = nn.Identity()

    def forward(self, x):
        empty = torch.zeros_like(x)
        return self.map(torch.cat([empty, x.flip(-1), empty, x, empty, empty, empty], 1)).mean((2, 3))


def test_grad_cam_is_of_the_class_that_is_asked_for_and_of_the_pixels_that_were_judged():
    pixels = torch.zeros(1, 1, 48, 48, dtype=torch.uint8)
    pixels[0, 0, 10, 12] = 255
    for size, column in ((None, 35), (40, 35), (30, 35)):
        module = FERModule(Corner(), nn.Identity(), None, augment=None, views=Views("none", size)).eval()
        module.backbone.input_spec = InputSpec(size or 48, mean=(0.0,), std=(1.0,))
        for c, place in ((3, [0, 10, 12]), (1, [0, 10, column])):
            maps = grad_cam(module, pixels, torch.tensor([c]), module.backbone.map)
            assert (maps == 1).nonzero().tolist() == [place] and maps.sum() == 1


class Attending(nn.Module):
    """16 patches and a class token that attends to patch 5 in the second layer; in the first, patch 5 attends to patch 2."""

    input_spec = InputSpec(mean=(0.0,), std=(1.0,))
    num_features = 7

    def __init__(self):
        super().__init__()
        self.embed, self.first, self.second, self.tokens = nn.Linear(1, 7), nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, x):
        x = nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)[..., None]
        x = self.embed(torch.cat([x.mean(1, keepdim=True), x], 1))
        for layer, (to, of) in ((self.first, (6, 3)), (self.second, (0, 6))):
            attention = torch.eye(17).repeat(len(x), 2, 1, 1)
            attention[..., to, :] = torch.eye(17)[of]
            x = x + layer(attention).mean(1) @ x
        return self.tokens(x)[:, 0]


def test_rollout_follows_attention_through_the_layers():
    module = FERModule(Attending(), nn.Identity(), None, augment=None, views=Views()).eval()
    maps = rollout(module, some_faces(2))
    # Half of the class token stays itself, a quarter is patch 5, a quarter what patch 5 has from patch 2.
    centre = maps[:, 6::12, 6::12].reshape(2, 16)
    assert (centre[:, [2, 5]] > 0.9).all() and (np.delete(centre.numpy(), [2, 5], axis=1) < 0.1).all()


def test_the_maps_are_of_the_answers_in_the_predictions(study):
    run, _ = best_run(study)
    _, faces, _, module = restore(run)
    table = read_predictions(run)
    rows = table["row"].to_numpy()[:8]
    values = module.logits(torch.from_numpy(np.array(faces.pixels[rows]))).softmax(1).detach().numpy()
    np.testing.assert_allclose(values, table[[f"p{c}" for c in range(7)]].to_numpy()[:8], atol=0.02)  # bf16 where the CPU has it


def test_a_study_is_explained_by_its_best_run_and_the_report_shows_it(study, command, tmp_path):
    before = saliency_sheets(gather(study))[1]
    run, why = best_run(study)
    record = gather(study)
    cell, runs = next(iter(record.runs.items()))
    assert run.name == runs.loc[runs["val_accuracy"].idxmax(), "name"] and f"Best cell of {study} by validation: {cell}." in why
    assert best_run(run) == (run, "")
    done = command(str(study), "--out", "sheets", main=main)
    assert done.code == 0 and why.split(". ")[0] in done.text, done.text
    with Image.open(tmp_path / "sheets" / "explain.png") as sheet:
        assert sheet.width % 180 == 0 and sheet.height > 1000  # columns of 1.5 inches
    assert saliency_sheets(gather(study))[1] == before
    done = command(str(run), main=main)
    assert done.code == 0 and (run / "explain.png").exists()
    assert run.name in [name for name, _ in saliency_sheets(gather(study))[0]]
    (run / "explain.png").unlink()


def test_pictures_of_ones_own(study, command, tmp_path):
    for number in range(9):
        Image.fromarray(some_faces(9)[number, 0].numpy()).resize((90, 70)).save(tmp_path / f"{number}.png")
    (tmp_path / "8.png").rename(tmp_path / "a$8$^.png")  # no mathematics
    files = [*(f"{number}.png" for number in range(8)), "a$8$^.png"]
    done = command(str(study / "s0"), *files, "--out", "mine", main=main)
    assert done.code == 0 and done.text.strip().endswith("explain_pictures.png"), done.text
    with Image.open(tmp_path / "mine" / "explain_pictures.png") as sheet:
        assert sheet.width == 1260 and sheet.height > 1000  # two blocks of seven columns
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:60])
    for wrong in ("broken.png", "missing.png"):
        sheet = tmp_path / "mine" / "explain_pictures.png"
        sheet.unlink(missing_ok=True)
        done = command(str(study / "s0"), wrong, "--out", "mine", main=main)
        assert done.code == 1 and wrong in done.text and "Traceback" not in done.text and not sheet.exists()
        done = command(str(study / "s0"), wrong, "1.png", "2.png", "--out", "mine", main=main)
        assert done.code == 1 and wrong in done.text and sheet.exists()
        assert f"The other 2 are in {sheet.relative_to(tmp_path)}." in done.text


def test_what_cannot_be_explained_is_a_sentence(study, command, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for arguments, word in (
        (["nowhere"], "no run folder"),
        (["empty"], "no run folder"),
        ([str(study / "s0"), "--out", "file"], "file is a file: name a folder"),
    ):
        done = command(*arguments, main=main)
        assert done.code == 1 and word in done.text and "Traceback" not in done.text, done.text


def test_a_network_that_only_saliency_explains_is_named(study, command, monkeypatch):
    monkeypatch.setattr(explanation_sheet, "explanations", lambda *_: {"saliency": lambda pixels, _: torch.zeros(len(pixels), 48, 48)})
    done = command(str(study / "s0"), "--out", "sheets", main=main)
    assert done.code == 0 and "Saliency only: CompactCNN does not end in a convolutional map" in done.text, done.text


def test_a_run_without_a_test_part_or_a_right_answer(command, tmp_path):
    assert command(*TINY, "logger=csv", "hydra.run.dir=run").code == 0
    table = read_predictions(tmp_path / "run")
    table[[f"p{c}" for c in range(7)]] = np.nan  # as those of a run that diverged
    foreign = table.assign(row=table["row"] + 1000)
    cases = (table, "gets no test image right"), (table[table["split"] == "val"], "has no test part"), (foreign, "not of the images")
    for part, words in cases:
        part.to_parquet(tmp_path / "run" / "predictions.parquet", index=False)
        with pytest.raises(UserError, match=words):
            draw_test_images(tmp_path / "run")


def test_mistakes_are_the_most_frequent_first_and_the_surest_image_first():
    labels = np.array([0, 0, 0, 1, 1, 2])
    values = np.array([[0.1, 0.9, 0], [0.4, 0.6, 0], [0.9, 0.1, 0], [0.7, 0.3, 0], [0, 1, 0], [np.nan] * 3])
    assert [(t, f, list(which)) for t, f, which in mistakes(labels, values, 5)] == [(0, 1, [0, 1]), (1, 0, [3])]
    assert len(list(mistakes(labels, values, 1))) == 1
