"""Faces are found, and cut out as those of FER-2013 are."""

import numpy as np
import pytest
from helpers.photographs import admiral, astronaut, group
from PIL import Image

from fer_lightning.data.faces import SIZE
from fer_lightning.photos.answers import cut
from fer_lightning.photos.detector import Box, Detector, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs pip install 'fer_lightning[photos]'")


def test_the_face_of_a_photograph_is_found():
    (box,) = Detector()(astronaut())
    assert 150 < box.left < 200 and 40 < box.top < 90 and 80 < box.width < 110 and 100 < box.height < 130 and box.score > 0.8
    assert len(Detector()(admiral().convert("L"))) == 1


def test_every_face_of_a_group_is_found_once_and_the_largest_comes_first():
    picture, places = group()
    boxes = Detector()(picture)
    assert len(boxes) == len(places)
    for left, top, side in places:
        assert sum(left < box.left + box.width / 2 < left + side and top < box.top + box.height / 2 < top + side for box in boxes) == 1
    areas = [box.width * box.height for box in boxes]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize("longer", [100, 3000])
def test_a_face_is_found_in_a_small_and_in_a_large_picture(longer):
    """And its box is in pixels of the picture."""
    (box,) = Detector()(astronaut().resize((longer, longer), Image.Resampling.BICUBIC))
    np.testing.assert_allclose([box.left, box.top, box.width, box.height], np.array([178, 63, 90, 113]) * longer / 512, atol=0.025 * longer)


def test_where_there_is_no_face_none_is_found():
    noise = np.random.default_rng(0).integers(0, 256, (300, 500), dtype=np.uint8)
    for picture in (Image.fromarray(noise), Image.new("RGB", (200, 40)), Image.new("L", (1, 1)), Image.new("L", (2000, 1))):
        assert Detector()(picture) == []


def test_a_face_is_cut_out_square_about_its_box():
    ramp = Image.fromarray(np.add.outer(np.arange(240), np.zeros(300)).astype(np.uint8))
    box = Box(100, 60, 40, 96, 1.0)
    np.testing.assert_allclose(cut(ramp, box, margin=0)[:, 0], np.linspace(60.5, 154.5, SIZE), atol=1)  # 96 pixels from 60 on
    wider = cut(ramp, box, margin=0.5)  # 144 pixels from 36 on
    assert abs(int(wider[0, 0]) - 37) <= 1 and abs(int(wider[-1, 0]) - 178) <= 1
    assert box.square(0.5) == (48, 36, 192, 180)


def test_over_the_edge_of_the_picture_the_edge_is_repeated():
    picture = Image.fromarray(np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None], 100, axis=0))
    face = cut(picture, Box(-48, 2, 96, 96, 1.0), margin=0)  # half of it is left of the picture
    assert not face[:, :20].any() and face[:, -1].min() > 80
    assert cut(picture, Box(90, 90, 40, 40, 1.0)).min() > 170
