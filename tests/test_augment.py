import torch
import torch.nn.functional as F

from fer_lightning.augment import Augment

PICTURE = torch.arange(48 * 48).remainder(251).byte().view(1, 1, 48, 48)


def test_equal_pictures_get_draws_of_their_own():
    torch.manual_seed(0)
    out = Augment(flip=0.5, shift=4)(PICTURE.expand(128, -1, -1, -1))
    assert out.shape == (128, 1, 48, 48) and out.dtype == torch.uint8
    assert len({picture.numpy().tobytes() for picture in out}) > 80  # of 162 equally likely ones, 128 draws hit some 88


def test_every_result_is_a_crop_of_the_reflected_picture():
    torch.manual_seed(1)
    out = Augment(flip=0.5, shift=4)(PICTURE.expand(256, -1, -1, -1))
    padded = F.pad(PICTURE.float(), (4, 4, 4, 4), mode="reflect").byte()
    crops = [padded[0, :, y : y + 48, x : x + 48] for y in range(9) for x in range(9)]
    expected = {crop.numpy().tobytes() for c in crops for crop in (c, c.flip(-1))}
    found = {picture.numpy().tobytes() for picture in out}
    assert found <= expected
    assert len(found) > 100


def test_flip_always_and_never():
    batch = torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8)
    assert torch.equal(Augment(flip=1.0)(batch), batch.flip(-1))
    assert torch.equal(Augment()(batch), batch)


def test_flips_about_the_stated_share():
    torch.manual_seed(2)
    out = Augment(flip=0.25)(PICTURE.expand(4000, -1, -1, -1))
    share = (out[:, 0, 0, 0] != PICTURE[0, 0, 0, 0]).float().mean()
    assert 0.22 < share < 0.28
