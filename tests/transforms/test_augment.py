"""Augmentation: its geometry against torchvision image by image, its draws by their shares, its configs by what they refuse."""

import pytest
import torch
import torch.nn.functional as F
from helpers.project import compose, options
from hydra.utils import instantiate
from torchvision import transforms
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms import augment, geometry
from fer_lightning.transforms.augment import Augment

IMAGE = torch.arange(48 * 48).remainder(251).byte().view(1, 1, 48, 48)
LABELS = torch.arange(128) % 7
BILINEAR = InterpolationMode.BILINEAR
# One of each transform, for what must hold of all of them.
EACH = [
    {"flip": 0.5, "shift": 4},
    {"shift": 4, "fill": "nearest"},
    {"shift_fraction": 0.1},
    {"rotation": 25},
    {"zoom": 0.25},
    {"shear": 20},
    {"resized_crop": 1.0},
    {"brightness": 0.3},
    {"contrast": 0.3},
    {"crop_size": 40},
    {"erase": 1.0},
]


def smooth(n=4, size=48):
    """Images on which interpolation is well behaved, (n, 1, size, size) in 0..255."""
    noise = torch.rand(n, 1, 12, 12, generator=torch.Generator().manual_seed(3))
    return F.interpolate(noise, (size, size), mode="bilinear") * 255


def move(pixels, fill="zeros", mirrored=False, **parameters):
    """`geometry.affine` and `warp` with the same parameters for every image."""
    defaults = {"angle": 0.0, "left": 0.0, "up": 0.0, "shear": 0.0, "zoom_x": 1.0, "zoom_y": 1.0}
    values = {name: torch.full((len(pixels),), value) for name, value in (defaults | parameters).items()}
    movement = geometry.affine(torch.full((len(pixels),), mirrored), **values)
    return geometry.warp(pixels, movement, pixels.shape[-2:], fill)


@pytest.fixture(params=[1, -1], ids=["most", "least"])
def extreme(request, monkeypatch):
    """Every magnitude is drawn as its largest, or as minus that."""
    monkeypatch.setattr(augment, "_draw", lambda pixels, largest, count=1: torch.full((count, len(pixels)), request.param * float(largest)))
    return request.param


def check(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02)


def test_rotation_is_torchvisions(extreme):
    out, _ = Augment(rotation=25, fill="zeros")(smooth(), LABELS[:4])
    check(out, torch.stack([tv.rotate(image, extreme * 25, BILINEAR) for image in smooth()]))


def test_shift_is_torchvisions(extreme):
    out, _ = Augment(shift_fraction=0.15, fill="zeros")(smooth(), LABELS[:4])
    shift = [-extreme * 0.15 * 48] * 2
    check(out, torch.stack([tv.affine(image, 0.0, shift, 1.0, [0.0, 0.0], BILINEAR) for image in smooth()]))


def test_zoom_is_torchvisions_inverse_scale(extreme):
    out, _ = Augment(zoom=0.25, fill="zeros")(smooth(), LABELS[:4])
    check(out, torch.stack([tv.affine(image, 0.0, [0, 0], 1 / (1 + extreme * 0.25), [0.0, 0.0], BILINEAR) for image in smooth()]))


def test_shear_is_torchvisions(extreme):
    out, _ = Augment(shear=20, fill="zeros")(smooth(), LABELS[:4])
    check(out, torch.stack([tv.affine(image, 0.0, [0, 0], 1.0, [0.0, extreme * 20.0], BILINEAR) for image in smooth()]))


def test_light_is_torchvisions(extreme):
    pixels = smooth().byte()
    bright, _ = Augment(brightness=0.4)(pixels, LABELS[:4])
    flat, _ = Augment(contrast=0.4)(pixels, LABELS[:4])
    for i, image in enumerate(pixels.float() / 255):
        check(bright[i], tv.adjust_brightness(image, 1 + extreme * 0.4) * 255)
        check(flat[i], tv.adjust_contrast(image, 1 + extreme * 0.4) * 255)


def test_movements_combine_in_the_order_of_keras():
    """Keras: source = rotation @ shift @ shear @ zoom @ output, about the centre."""
    angle, slope = torch.tensor(0.3), torch.tensor(0.2)
    turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    stretch = torch.tensor([[1.0, 0.0], [slope.tan(), 1.0]]) @ torch.diag(torch.tensor([0.8, 1.1]))
    values = {"angle": angle.rad2deg(), "left": 3.0, "up": -2.0, "shear": slope.rad2deg(), "zoom_x": 0.8, "zoom_y": 1.1}
    values = {name: torch.as_tensor(value)[None] for name, value in values.items()}
    matrix, offset = geometry.affine(torch.tensor([False]), **values)
    torch.testing.assert_close(matrix[0], turn @ stretch)
    torch.testing.assert_close(offset[0], turn @ torch.tensor([3.0, -2.0]))
    mirrored, _ = geometry.affine(torch.tensor([True]), **values)
    torch.testing.assert_close(mirrored[0], torch.diag(torch.tensor([-1.0, 1.0])) @ turn @ stretch)


@pytest.mark.parametrize("frame", [(48, 48), (40, 40), (64, 64)])
@pytest.mark.parametrize("box", [(0, 0, 48, 48), (3, 5, 40, 36), (10, 0, 38, 44)])
def test_resized_crop_is_torchvisions(box, frame):
    """But for the outermost pixels, which see what lies beyond the crop, where torchvision repeats its border."""
    pixels = smooth()
    sides = [torch.full((4,), float(side)) for side in box]
    still = torch.eye(2).expand(4, 2, 2), torch.zeros(4, 2)
    ours = geometry.warp(pixels, geometry.from_box(still, sides, (48, 48), frame), frame, "nearest")
    theirs = torch.stack([tv.resized_crop(image, *box, list(frame), BILINEAR, antialias=False) for image in pixels])
    check(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1])


def test_erase_is_torchvisions():
    boxes = [(0, 0, 10, 48), (5, 7, 20, 3), (40, 40, 8, 8), (1, 2, 0, 5)]
    ours = geometry.erase(smooth(), torch.tensor(boxes).T.float(), value=17)
    theirs = [tv.erase(image, *box, torch.tensor(17.0)) for image, box in zip(smooth(), boxes)]
    assert torch.equal(ours, torch.stack(theirs))


@pytest.mark.parametrize(("area", "ratio"), [((0.8, 1.2), (3 / 4, 4 / 3)), ((0.3, 1.0), (0.5, 2.0))])
def test_rectangles_are_drawn_as_torchvision_draws_them(area, ratio):
    torch.manual_seed(0)
    pixels = IMAGE.expand(20000, -1, -1, -1)
    *box, fits = augment._draw_boxes(pixels, area, ratio, inside=True)
    box = torch.stack(box)[:, fits]
    theirs = torch.tensor([transforms.RandomResizedCrop.get_params(IMAGE[0], area, ratio) for _ in range(3000)]).T.float()
    theirs = theirs[:, theirs[2:].amin(0) < 48] if not fits.all() else theirs
    assert (box[:2] >= 0).all() and (box[:2] + box[2:] <= 48.001).all()
    torch.testing.assert_close(box.mean(1), theirs.mean(1), rtol=0.02, atol=0.3)
    torch.testing.assert_close(box.std(1), theirs.std(1), rtol=0.06, atol=0.2)


def test_an_area_above_one_falls_back_to_the_whole_image_or_shrinks_it():
    torch.manual_seed(0)
    always = {"resized_crop": 1.0, "resized_crop_area": [1.15, 1.2], "resized_crop_ratio": [1.0, 1.0], "fill": "zeros"}
    white = torch.full((64, 1, 48, 48), 255, dtype=torch.uint8)
    check(Augment(**always)(white, LABELS[:64])[0], white.float())
    seen = Augment(**always, resized_crop_inside=False)(white, LABELS[:64])[0].mean((1, 2, 3)) / 255
    assert ((seen > 1 / 1.21) & (seen < 1 / 1.14)).all()


def test_resized_crop_size_is_what_comes_out():
    out, _ = Augment(resized_crop=0.5, resized_crop_size=64)(smooth(128), LABELS)
    assert out.shape == (128, 1, 64, 64)
    whole, _ = Augment(resized_crop_size=64)(smooth(), LABELS[:4])
    check(whole[..., 1:-1, 1:-1], F.interpolate(smooth(), (64, 64), mode="bilinear")[..., 1:-1, 1:-1])


def test_fills_on_a_image_made_by_hand():
    row = torch.tensor([10.0, 20.0, 40.0]).expand(1, 1, 3, 3)
    expected = {"nearest": [10.0, 10.0, 15.0], "reflection": [30.0, 15.0, 15.0], "zeros": [0.0, 5.0, 15.0]}
    for fill, values in expected.items():
        check(move(row, fill, left=-1.5)[0, 0, 1], torch.tensor(values))
    check(move(row, "nearest", zoom_x=2.0)[0, 0, 1], torch.tensor([10.0, 20.0, 40.0]))
    check(move(row, "nearest", angle=90.0)[0, 0], torch.tensor([40.0, 20.0, 10.0])[:, None].expand(3, 3))


def test_the_gather_is_the_warp():
    pixels = torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8)
    for mirrored, left, up in [(False, 3, -4), (True, 3, -4), (True, 0, 7)]:
        gathered = geometry.flip_and_shift(pixels, torch.full((5,), mirrored), torch.full((5,), left), torch.full((5,), up))
        check(move(pixels, "reflection", mirrored, left=float(left), up=float(up)), gathered.float())


@pytest.mark.parametrize("kwargs", EACH, ids=lambda kwargs: next(iter(kwargs)))
def test_equal_images_get_draws_of_their_own(kwargs):
    torch.manual_seed(0)
    out, labels = Augment(**kwargs)(IMAGE.expand(128, -1, -1, -1), LABELS)
    # Of the 81 shifts and the 81 crops by whole pixels, 128 draws hit some 64; with flips some 88 of 162.
    assert len({image.numpy().tobytes() for image in out}) > 55
    assert torch.equal(labels, LABELS)


def test_every_result_is_a_crop_of_the_reflected_image():
    torch.manual_seed(1)
    out, _ = Augment(flip=0.5, shift=4)(IMAGE.expand(256, -1, -1, -1), LABELS.repeat(2))
    padded = F.pad(IMAGE.float(), (4, 4, 4, 4), mode="reflect").byte()
    crops = [padded[0, :, y : y + 48, x : x + 48] for y in range(9) for x in range(9)]
    expected = {crop.numpy().tobytes() for c in crops for crop in (c, c.flip(-1))}
    found = {image.numpy().tobytes() for image in out}
    assert found <= expected
    assert len(found) > 100


def test_flips_are_drawn_as_a_call_draws_them():
    batch = torch.randint(0, 256, (128, 1, 48, 48), dtype=torch.uint8)
    torch.manual_seed(7)
    out, _ = Augment(flip=0.5)(batch, LABELS)
    torch.manual_seed(7)
    mirrored = Augment(flip=0.5).draw_flips(batch)
    assert torch.equal(mirrored, (out != batch).flatten(1).any(1)) and 40 < mirrored.sum() < 90
    assert torch.equal(geometry.mirror(batch, mirrored), out)
    assert not Augment().draw_flips(batch).any()


def test_only_flips():
    assert Augment().only_flips and Augment(flip=0.5).only_flips
    for more in ({"shift": 4}, {"mixup": 0.4}, {"crop_size": 40}, {"erase": 0.5}, {"rotation": 9}):
        assert not Augment(flip=0.5, **more).only_flips


def test_flip_always_and_never():
    batch = torch.randint(0, 256, (5, 1, 48, 48), dtype=torch.uint8)
    assert torch.equal(Augment(flip=1.0)(batch, LABELS[:5])[0], batch.flip(-1))
    assert torch.equal(Augment()(batch, LABELS[:5])[0], batch)
    check(Augment(flip=1.0, shift_fraction=1e-6)(batch, LABELS[:5])[0], batch.flip(-1).float())


@pytest.mark.parametrize(
    "kwargs",
    [
        {"flip": 0.25},
        {"resized_crop": 0.25},
        {"erase": 0.25},
        {"shift": 9, "shift_p": 0.25},
        {"shift_fraction": 0.2, "shift_p": 0.25},
        {"rotation": 25, "rotation_p": 0.25},
        {"zoom": 0.25, "zoom_p": 0.25},
        {"shear": 20, "shear_p": 0.25},
        {"brightness": 0.5, "brightness_p": 0.25},
        {"contrast": 0.5, "contrast_p": 0.25},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_the_stated_share_is_changed(kwargs):
    torch.manual_seed(2)
    out, _ = Augment(**kwargs)(IMAGE.expand(4000, -1, -1, -1), torch.zeros(4000, dtype=torch.long))
    share = ((out.float() - IMAGE).abs().amax((1, 2, 3)) > 0.2).float().mean()
    assert 0.22 < share < 0.28


def test_random_crops_are_cut_from_all_places():
    torch.manual_seed(3)
    out, _ = Augment(crop_size=46)(IMAGE.expand(500, -1, -1, -1), torch.zeros(500, dtype=torch.long))
    expected = {IMAGE[0, 0, y : y + 46, x : x + 46].numpy().tobytes() for y in range(3) for x in range(3)}
    assert {image.numpy().tobytes() for image in out} == expected and out.dtype == torch.uint8


@pytest.mark.parametrize(("kind", "count"), [("five_crop", 5), ("ten_crop", 10)])
def test_training_crops_are_torchvisions_with_their_labels(kind, count):
    batch = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    out, labels = Augment(crops=kind, crop_size=40)(batch, torch.tensor([4, 0, 6]))
    assert out.shape == (3 * count, 1, 40, 40) and labels.tolist() == [4, 0, 6] * count
    for i, image in enumerate(batch):
        assert torch.equal(out[i::3], torch.stack(getattr(tv, kind)(image, [40, 40])))


def test_every_crop_is_erased_by_itself():
    torch.manual_seed(4)
    out, _ = Augment(crops="ten_crop", crop_size=40, erase=0.5)(torch.full((64, 1, 48, 48), 255, dtype=torch.uint8), LABELS[:64])
    erased = (out == 0).float().mean((1, 2, 3)).view(10, 64)
    assert 0.4 < (erased > 0).float().mean() < 0.6
    assert (erased > 0).any(0).float().mean() > 0.95 and not (erased > 0).all(0).any()
    assert erased.max() < 0.36 and erased[erased > 0].mean() == pytest.approx(0.175, abs=0.02)


@pytest.mark.parametrize("concentration", [0.2, 1.0])
def test_mixup_mixes_pixels_as_it_mixes_targets(concentration):
    torch.manual_seed(5)
    labels = torch.arange(4000) % 7
    pixels = (labels * 30).byte().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    out, targets = Augment(mixup=concentration)(pixels, labels)
    assert targets.shape == (4000, 7) and out.dtype == torch.float32
    torch.testing.assert_close(targets.sum(1), torch.ones(4000))
    torch.testing.assert_close(out[:, 0, 3, 3], targets @ (30.0 * torch.arange(7)))
    mixed = (targets > 0).sum(1) == 2
    share = targets[mixed].gather(1, labels[mixed, None])
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)
    assert share.var().item() == pytest.approx(1 / (8 * concentration + 4), rel=0.07)  # of Beta(a, a)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", options("augment"))
def test_every_option_keeps_the_grey_levels_and_fits_the_labels(name, dtype):
    torch.manual_seed(6)
    transform = instantiate(compose(f"augment={name}").augment)
    pixels = torch.randint(0, 256, (16, 1, 48, 48)).to(dtype)
    out, targets = transform(pixels, LABELS[:16])
    assert len(out) == len(targets) == (160 if name == "four_stage_vgg" else 16)
    assert out.float().amin() >= 0 and out.float().amax() <= 255.001
    assert out.dtype in (dtype, torch.float32)
    if name in ("none", "flip", "flip_shift"):
        assert out.dtype == dtype


def test_a_seed_fixes_the_draws():
    transform = Augment(flip=0.5, rotation=10, zoom=0.1, erase=0.5, mixup=0.4)
    batch = smooth(16)

    def run(seed):
        torch.manual_seed(seed)
        return transform(batch, LABELS[:16])[0]

    assert torch.equal(run(0), run(0)) and not torch.equal(run(0), run(1))


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"flip": 1.5}, "augment.flip=1.5: a probability is 0 to 1"),
        ({"rotation_p": -0.1}, "augment.rotation_p=-0.1: a probability is 0 to 1"),
        ({"rotation": 300}, "augment.rotation=300: an angle is 0 to 180"),
        ({"shift": -1}, "augment.shift=-1: a number of pixels is 0 to 47"),
        ({"shift_fraction": float("nan")}, "augment.shift_fraction=nan: a fraction is 0 to 1"),
        ({"mixup": -1}, "augment.mixup=-1: a concentration is 0"),
        ({"erase_area": 0.3}, "augment.erase_area=0.3: give a smallest and a largest value"),
        ({"erase_ratio": [2, 1]}, "augment.erase_ratio=.*: give a smallest and a largest value"),
        ({"resized_crop_area": ["a", "b"]}, "augment.resized_crop_area=.*: give a smallest"),
        ({"fill": "reflect"}, "augment.fill=reflect: there is no such choice. Did you mean reflection"),
        ({"crops": "tencrop", "crop_size": 40}, "augment.crops=tencrop: .* Did you mean ten_crop"),
        ({"crops": "ten_crop"}, "augment.crops=ten_crop needs augment.crop_size"),
        ({"crop_size": 49}, "augment.crop_size=49: a size is 2 to 48 pixels"),
        ({"resized_crop_size": 1}, "augment.resized_crop_size=1: a size is 2"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(kwargs, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Augment(**kwargs)
