"""Pictures and videos of every kind: their faces, as the network sees them, or a sentence."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.photographs import admiral, astronaut
from PIL import ExifTags, Image

from fer_lightning.photos import answers
from fer_lightning.photos.answers import Finder, Looking, answer
from fer_lightning.photos.detector import is_installed
from fer_lightning.photos.tables import as_csv
from fer_lightning.process.errors import UserError
from fer_lightning.shipping.networks import Network

needs_detector = pytest.mark.skipif(not is_installed(), reason="needs pip install 'fer_lightning[photos]'")

# Its probabilities say how bright the left and the right half of a face are.
HALVES = Network("halves", ("left", "right"), lambda faces: np.stack([faces[..., :24].mean((1, 2, 3)), faces[..., 24:].mean((1, 2, 3))], 1))

# Ways to store the same photograph.
KINDS = {
    **{f"{mode}.tiff": lambda picture, mode=mode: picture.convert(mode) for mode in ("L", "RGB", "RGBA", "CMYK", "P", "YCbCr")},
    "palette.gif": lambda picture: picture.convert("P"),
    "deep.png": lambda picture: Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257),
    "lossy.jpg": lambda picture: picture.convert("CMYK"),
    "see_through.webp": lambda picture: picture.convert("RGBA"),
}


@needs_detector
@pytest.mark.parametrize("name", KINDS)
def test_a_photograph_is_seen_alike_however_it_is_stored(tmp_path, name):
    astronaut().save(tmp_path / "plain.png")
    KINDS[name](astronaut()).save(tmp_path / name)
    plain, other = answer(HALVES, [tmp_path / "plain.png", tmp_path / name])
    (face,), (same,) = plain.faces, other.faces
    for side in ("left", "top", "width", "height"):
        assert abs(getattr(face.box, side) - getattr(same.box, side)) < 4  # without colours, or with 256, the detector sees it otherwise
    assert np.corrcoef(face.crop.ravel(), same.crop.ravel())[0, 1] > 0.8


@needs_detector
def test_a_photograph_is_turned_upright_and_of_an_animation_the_first_frame_counts(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    astronaut().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    astronaut().save(tmp_path / "moving.webp", save_all=True, append_images=[admiral().resize((512, 512))], lossless=True)
    for seen in answer(HALVES, [tmp_path / "turned.jpg", tmp_path / "moving.webp"]):
        (face,) = seen.faces
        assert abs(face.box.left - 178) < 8 and abs(face.box.top - 63) < 8


def test_what_cannot_be_read_is_an_error_and_the_rest_goes_on(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").touch()
    astronaut().save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    Image.new("L", (48, 48), 7).save(tmp_path / "face.png")
    names = ["text.jpg", "empty.png", "cut.jpg", "huge.png", "gone.png", "face.png"]
    *broken, face = answer(HALVES, [tmp_path / name for name in names])
    for name, seen in zip(names, broken, strict=False):
        assert seen.unread and seen.faces == [] and seen.error.startswith(str(tmp_path / name)), seen
    assert face.error is None and face.faces[0].probabilities.tolist() == [7, 7]


def test_a_name_that_is_no_utf_8_is_written_out(tmp_path):
    face = Path(tmp_path, os.fsdecode(b"caf\xe9.png"))
    Image.new("L", (48, 48), 7).save(face)
    gone = face.with_name(os.fsdecode(b"g\xff.png"))
    seen = list(answer(HALVES, [face, gone]))
    assert [Path(one.source).name for one in seen] == [r"caf\xe9.png", r"g\xff.png"] and seen[1].unread
    assert r"caf\xe9.png,left,7" in as_csv(seen, HALVES.classes)


def test_a_face_that_is_cut_out_is_taken_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "face.png")
    (seen,) = answer(HALVES, [tmp_path / "face.png"])
    assert seen.faces[0].box is None and seen.note is None
    np.testing.assert_array_equal(seen.faces[0].crop, pixels)


def test_without_a_detector_a_photo_is_one_face_and_that_is_noted(tmp_path, monkeypatch):
    wide = np.zeros((96, 300), np.uint8)
    wide[:, 102:198] = 200  # the middle square
    Image.fromarray(wide).save(tmp_path / "wide.png")
    for looking, note in ((Looking(detect=False), None), (Looking(), "taken as one face")):
        monkeypatch.setattr(answers, "is_installed", lambda: False)
        (seen,) = answer(HALVES, [tmp_path / "wide.png"], looking)
        assert (seen.note is None) == (note is None) and abs(seen.faces[0].crop.mean() - 200) < 2
    monkeypatch.setattr("fer_lightning.photos.detector.is_installed", lambda: False)
    with pytest.raises(UserError, match=r"pip install 'fer_lightning\[photos\]'"):
        Finder(Looking(detect=True))


@needs_detector
def test_no_face_and_faces_that_are_too_small_are_named(tmp_path):
    Image.new("RGB", (200, 200), "white").save(tmp_path / "white.png")
    small = Image.new("RGB", (600, 600), "white")
    small.paste(astronaut().resize((75, 75), Image.Resampling.LANCZOS), (300, 300))
    small.save(tmp_path / "small.png")
    white, tiny = answer(HALVES, [tmp_path / "white.png", tmp_path / "small.png"])
    assert not white.unread and "white.png: no face found. With --no-detect" in white.error
    small.paste(admiral().resize((300, 352)), (0, 0))
    small.save(tmp_path / "both.png")
    (both,) = answer(HALVES, [tmp_path / "both.png"])
    assert len(both.faces) == 1 and both.error is None and both.note == "1 face smaller than 20 pixels left out"
    assert tiny.faces == [] and "no face found" in tiny.error and "1 face smaller than 20 pixels left out" in tiny.error


@needs_detector
def test_more_pictures_than_a_batch_keep_their_order(tmp_path):
    for grey in range(70):
        Image.new("L", (48, 48), grey).save(tmp_path / f"{grey:02d}.png")
    seen = list(answer(HALVES, sorted(tmp_path.glob("*.png"))))
    assert [one.faces[0].probabilities[0] for one in seen] == list(range(70))
    assert all(one.image is None for one in seen)
