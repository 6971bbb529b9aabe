"""A reader of one's own may return anything: what is not Faces is refused in one place, and each sentence says what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_lightning.data.faces import Faces, check_faces
from fer_lightning.process.errors import DataError

GOOD = Faces(np.zeros((4, 1, 48, 48), np.uint8), np.array([0, 6, -1, 3]), np.array([0, 0, 1, 2]), "mine", "unknown", {})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pixels": np.zeros((4, 3, 48, 48), np.uint8)}, r"pixels must be .* uint8 \(4, 1, 48, 48\); found: uint8 \(4, 3, 48, 48\)"),
        ({"pixels": np.zeros((4, 1, 64, 64), np.uint8)}, r"found: uint8 \(4, 1, 64, 64\)"),
        ({"pixels": np.zeros((4, 48, 48), np.uint8)}, r"found: uint8 \(4, 48, 48\)"),
        ({"pixels": np.zeros((5, 1, 48, 48), np.uint8)}, r"found: uint8 \(5, 1, 48, 48\)"),
        ({"pixels": np.zeros((4, 1, 48, 48), np.float32)}, r"found: float32 \(4, 1, 48, 48\)"),
        ({"pixels": None}, "pixels must .* found: NoneType"),
        ({"labels": np.array([0, 1, 2, 7])}, "labels must lie between -1 and 6; found: 7"),
        ({"labels": np.array([0, 1, 2, -2])}, "labels must lie between -1 and 6; found: -2"),
        ({"labels": np.array([0, 1, 2, 3], np.int32)}, r"labels must .* int64 \(4,\); found: int32 \(4,\)"),
        ({"labels": np.eye(4, 8)}, r"found: float64 \(4, 8\)"),
        ({"labels": [[0], [1, 2], [3]]}, r"labels must .* int64 \(N,\); found: list"),
        ({"labels": np.array(3)}, r"labels must .* \(N,\); found: int64 \(\)"),
        ({"labels": None}, "labels must"),
        ({"usage": np.array([0, 1, 2, 3])}, "usage must lie between 0 and 2; found: 3"),
        ({"usage": np.array([0, 1, 2])}, r"usage must .* found: int64 \(3,\)"),
        ({"votes": np.zeros((4, 7), np.uint8)}, r"votes must .* \(4, 10\)"),
        ({"label_set": "ferplus_votes"}, "votes must"),
        ({"verdict": None}, "verdict must be a str; found: NoneType"),
        ({"fingerprint": None}, "fingerprint must be a dict; found: NoneType"),
        ({"label_set": "mine"}, "label_set must be fer, "),
    ],
)
def test_what_is_not_faces_is_refused(wrong, said):
    with pytest.raises(DataError, match=f"^mine: .*{said}"):
        replace(GOOD, **wrong)


def test_no_images_are_faces():
    assert replace(GOOD, pixels=GOOD.pixels[:0], labels=GOOD.labels[:0], usage=GOOD.usage[:0]).counts["Training"]["angry"] == 0


def test_arrays_may_be_read_backwards():
    labels = GOOD.labels[::-1]
    assert torch.from_numpy(replace(GOOD, labels=labels).labels).tolist() == labels.tolist()


def test_a_reader_returns_faces():
    assert check_faces(GOOD, "mine.read") is GOOD
    with pytest.raises(DataError, match=r"data\._target_=mine\.read returns tuple; a reader returns fer_lightning\.data\.faces\.Faces"):
        check_faces((GOOD.pixels, GOOD.labels), "mine.read")
