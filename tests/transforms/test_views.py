import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.layout import PREDICTIONS_OF_VIEWS
from fer_lightning.transforms.views import KINDS as ALL
from fer_lightning.transforms.views import Views

BATCH = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
KINDS = [("none", None), ("none", 40), ("flip", None), ("flip", 41), ("five_crop", 40), ("ten_crop", 44)]


def test_every_kind_of_several_views_has_a_file_for_its_predictions():
    assert set(PREDICTIONS_OF_VIEWS) == {kind for kind in ALL if kind != "none"}


@pytest.mark.parametrize("size", [40, 41, 44, 47])
def test_views_are_torchvisions(size):
    for i, image in enumerate(BATCH):
        for kind in ("five_crop", "ten_crop"):
            assert torch.equal(Views(kind, size).expand(BATCH)[i::3], torch.stack(getattr(tv, kind)(image, [size, size])))
        centre = tv.center_crop(image, [size, size])
        assert torch.equal(Views("none", size).expand(BATCH)[i], centre)
        assert torch.equal(Views("flip", size).expand(BATCH)[i::3], torch.stack([centre, tv.center_crop(image.flip(-1), [size, size])]))


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_mirrored_views_are_the_plain_views_of_the_mirror_image(kind, size):
    views = Views(kind, size)
    of_images, of_mirror_images = (views.expand(batch).unflatten(0, (views.count, -1)) for batch in (BATCH, BATCH.flip(-1)))
    assert views.mirrored.sum() == (views.count // 2 if kind in ("flip", "ten_crop") else 0)
    if views.mirrored.any():
        assert torch.equal(of_images[views.mirrored], of_mirror_images[~views.mirrored])


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_the_same_answer_to_each_view_is_the_answer(kind, size):
    views = Views(kind, size)
    assert views.expand(BATCH).shape == (3 * views.count, 1, size or 48, size or 48)
    logits = torch.randn(3, 7)
    torch.testing.assert_close(views.merge(logits.repeat(views.count, 1)), logits)
    same = Views(kind, size, "probabilities").merge(logits.repeat(views.count, 1))
    torch.testing.assert_close(same.softmax(1), logits.softmax(1))


def test_a_image_gets_the_mean_of_its_own_views():
    logits = torch.randn(10, 3, 7) * 4
    torch.testing.assert_close(Views("ten_crop", 40).merge(logits.view(30, 7)), logits.mean(0))
    merged = Views("ten_crop", 40, "probabilities").merge(logits.view(30, 7))
    torch.testing.assert_close(merged.softmax(1), logits.softmax(2).mean(0))
    torch.testing.assert_close(merged.exp().sum(1), torch.ones(3))
    assert not torch.allclose(merged.softmax(1), Views("ten_crop", 40).merge(logits.view(30, 7)).softmax(1))


def test_whole_images_are_left_as_they_are():
    assert torch.equal(Views().expand(BATCH), BATCH)
    assert torch.equal(Views("flip").expand(BATCH)[3:], BATCH.flip(-1))


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"kind": "tencrop"}, "evaluation.kind=tencrop: .* Did you mean ten_crop"),
        ({"kind": "five_crop"}, "evaluation.kind=five_crop needs evaluation.size"),
        ({"size": 60}, "evaluation.size=60: a size is 2 to 48"),
        ({"average": "logit"}, "evaluation.average=logit: .* Did you mean logits"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(kwargs, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Views(**kwargs)
