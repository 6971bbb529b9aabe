"""What a network sees in pictures and videos: the faces in each, and the probabilities of their expressions."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from fer_lightning.data.faces import SIZE
from fer_lightning.data.picture_file import as_face, read_photo
from fer_lightning.photos.detector import MARGIN, Box, Detector, is_installed
from fer_lightning.photos.sources import is_video
from fer_lightning.process.errors import UserError
from fer_lightning.shipping.networks import Network

# The longer side of what is a face already cut out, unless told otherwise. FER-2013 has 48; a photo is larger.
CUT_OUT = 64

# A face of fewer pixels is a smudge, whatever the network says of it.
SMALLEST = 20

WHOLE = "taken as one face"

# Pictures that are read before the network answers: as many faces as its batch, and few pictures in memory if they are drawn.
AT_ONCE, AT_ONCE_DRAWN = 64, 8


@dataclass
class Face:
    """crop: (S, S) uint8, what the network saw; box: where, None for the whole picture; probabilities: (C,)"""

    crop: np.ndarray
    box: Box | None = None
    probabilities: np.ndarray | None = None


@dataclass
class Seen:
    """One picture, or one frame of a video.

    source: as the user named it, a byte that is no UTF-8 as \\xff; time: seconds into a video, None of a picture
    faces:  the largest first; error: why there is none, a sentence; unread: whether the file could not be read
    note:   what else is to be said of it
    image:  upright, if it was to be kept
    """

    source: str
    time: float | None = None
    faces: list[Face] = field(default_factory=list)
    error: str | None = None
    unread: bool = False
    note: str | None = None
    image: Image.Image | None = None


@dataclass(frozen=True)
class Looking:
    """How faces are looked for.

    detect: True: in every picture; False: in none, each is a face; None: in those larger than a cut-out face, if a detector is installed
    margin: see `Box.square`; every: seconds between the frames of a video; keep: whether images are kept, for drawing
    """

    detect: bool | None = None
    margin: float = MARGIN
    every: float = 1.0
    keep: bool = False


def answer(network: Network, files: Iterable[Path], looking: Looking = Looking()) -> Iterator[Seen]:
    """A Seen for each picture, and for each frame of a video, in their order. What cannot be read is one with an error."""
    finder = Finder(looking, network.size)
    waiting = []
    for file in files:
        for seen in finder.look(Path(file)):
            waiting.append(seen)
            if len(waiting) == (AT_ONCE_DRAWN if looking.keep else AT_ONCE):
                yield from answered(network, waiting)
                waiting = []
    yield from answered(network, waiting)


def answered(network: Network, seen: list[Seen]) -> list[Seen]:
    """The same, with the probabilities of their faces: one call of the network."""
    faces = [face for one in seen for face in one.faces]
    if faces:
        values = network.answer(np.stack([face.crop[None] for face in faces]))
        for face, probabilities in zip(faces, values, strict=True):
            face.probabilities = probabilities
    return seen


class Finder:
    """From files to Seens whose faces have no probabilities yet. size: of a crop, in pixels.

    UserError if faces must be looked for and no detector is installed.
    """

    def __init__(self, looking: Looking = Looking(), size: int = SIZE):
        self.looking, self.size = looking, size
        self._detector = Detector() if looking.detect else None

    def look(self, file: Path) -> Iterator[Seen]:
        """One Seen of a picture, one of each frame of a video."""
        try:
            if is_video(file):
                yield from self.frames(file)
            else:
                yield self.faces_in(read_photo(file), Seen(_name(file)))
        except UserError as error:
            yield Seen(_name(file), error=str(error), unread=True)

    def frames(self, source: Path | int) -> Iterator[Seen]:
        """A Seen of a frame every `every` seconds of a video file or a camera."""
        from fer_lightning.photos.video import frames

        if self.looking.detect is None and self._detector is None:
            self._detector = Detector()
        for time, image in frames(source, self.looking.every):
            yield self.faces_in(image, Seen(_name(source), time=time))

    def faces_in(self, image: Image.Image, seen: Seen) -> Seen:
        """Add to a Seen the faces in its image."""
        seen.image = image if self.looking.keep else None
        small = max(image.size) <= CUT_OUT
        if self.looking.detect is False or (self.looking.detect is None and (small or not is_installed())):
            seen.faces = [Face(as_face(image, self.size)[0])]
            seen.note = None if small or self.looking.detect is False else WHOLE
            return seen
        self._detector = self._detector or Detector()
        boxes = self._detector(image)
        large = [box for box in boxes if max(box.width, box.height) >= SMALLEST]
        seen.faces = [Face(cut(image, box, self.looking.margin, self.size), box) for box in large]
        tiny = len(boxes) - len(large)
        if tiny:
            seen.note = f"{tiny} {'face' if tiny == 1 else 'faces'} smaller than {SMALLEST} pixels left out"
        if not large:
            where = seen.source if seen.time is None else f"{seen.source} at {seen.time:.1f} s"
            seen.error = f"{where}: no face found{f', but {seen.note}' if tiny else ''}. With --no-detect it is taken as one face."
        return seen


def _name(source):
    return os.fsencode(str(source)).decode("utf-8", "backslashreplace")


def cut(image: Image.Image, box: Box, margin: float = MARGIN, size: int = SIZE) -> np.ndarray:
    """The square about a box in grey, (size, size) uint8. Where it goes over the edge of the picture, the edge is repeated."""
    left, top, right, bottom = (round(side) for side in box.square(margin))
    part = image.crop((max(0, left), max(0, top), min(image.width, right), min(image.height, bottom))).convert("L")
    over = [max(0, pixels) for pixels in (-top, bottom - image.height, -left, right - image.width)]
    return as_face(Image.fromarray(np.pad(np.asarray(part), (over[:2], over[2:]), mode="edge")), size)[0]
