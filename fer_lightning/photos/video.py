"""Frames of a video file or of a camera, through OpenCV."""

import math
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from fer_lightning.process.errors import UserError


def frames(source: Path | int, every: float = 1.0) -> Iterator[tuple[float, Image.Image]]:
    """(seconds, frame) every so many seconds of a video file until it ends, or of the camera with a number until it is unplugged.

    UserError for what is no video, and if there is no such camera.
    """
    if not find_spec("cv2"):
        raise UserError(f"{source}: videos and cameras need OpenCV: pip install 'fer_lightning[photos]'")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is said here, in one sentence
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    camera = isinstance(source, int)
    if not camera and not source.is_file():
        raise UserError(f"{source}: cannot be read as a video (it is no file).")
    capture = cv2.VideoCapture(source if camera else os.fsencode(source))  # a name that is no UTF-8 ends the process as a str
    begin, due = time.monotonic(), 0.0
    try:
        while capture.grab():
            now = time.monotonic() - begin if camera else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if now < due - 1e-3:
                continue
            read, frame = capture.retrieve()
            if read:
                due = every * (math.floor(now / every + 1e-3) + 1)
                yield now, Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if due == 0:
        raise UserError(f"There is no camera {source}." if camera else f"{source}: cannot be read as a video (it has no frame).")
