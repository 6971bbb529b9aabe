"""Photographs of people that come with packages: in the public domain, taken by NASA and by the US Navy."""

from pathlib import Path

import matplotlib
import pytest
from PIL import Image


def astronaut():
    """512 x 512, one face, about 90 x 113 pixels at (178, 63)"""
    return Image.fromarray(pytest.importorskip("skimage.data").astronaut())


def admiral():
    """512 x 600, one face"""
    return Image.open(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")).convert("RGB")


def group():
    """1400 x 700, five faces of 44 to 350 pixels; the places and sizes of their pictures: [(left, top, side)]"""
    picture = Image.new("RGB", (1400, 700), (90, 110, 130))
    places = [(20, 100, 512), (560, 60, 300), (900, 430, 200), (1150, 20, 240), (560, 420, 256)]
    for number, (left, top, side) in enumerate(places):
        one = astronaut() if number % 2 == 0 else admiral()
        picture.paste(one.resize((side, round(side * one.height / one.width))), (left, top))
    return picture, places
