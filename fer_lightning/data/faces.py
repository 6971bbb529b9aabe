"""What every reader returns: the images of a data set, their labels and the parts that it comes in."""

from dataclasses import dataclass

import numpy as np

from fer_lightning.process.errors import DataError

# FER-2013's, in the order of the published CSV. It is not alphabetical: folder editions sorted by name swap ids 4 to 6.
CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

# The values of the CSV column `Usage`.
SPLITS = ("Training", "PublicTest", "PrivateTest")

# Of the images of FER-2013, and of other images unless `data.size` says another one.
SIZE = 48

NO_LABEL = -1

# The labels: FER-2013's own; the FER+ majority; the FER+ majority, with the shares of the FER+ votes as targets of training.
LABEL_SETS = ("fer", "ferplus_majority", "ferplus_votes")


@dataclass(frozen=True)
class Faces:
    """Images in the order of the copy they were read from. DataError for what is not as follows.

    pixels:      (N, 1, S, S) uint8, may be a memory map; S is 48 for FER-2013
    labels:      (N,) int64, index into classes; NO_LABEL if the copy has none
    usage:       (N,) int64, index into parts
    source:      where they came from, for messages and for result.json
    verdict:     official | official-lossy | modified | synthetic | own | unknown
    fingerprint: {part: hex digest of its images and labels, whatever their order}
    label_set:   which of LABEL_SETS the labels are, or own; verdict and fingerprint are always of the copy's own
    votes:       (N, 10) uint8, FER+ votes in the order of `ferplus.OPTIONS`; None if there are none
    classes:     the names of the classes
    parts:       the names of the parts that train, select and test where the data say so
    """

    pixels: np.ndarray
    labels: np.ndarray
    usage: np.ndarray
    source: str
    verdict: str
    fingerprint: dict
    label_set: str = "fer"
    votes: np.ndarray | None = None
    classes: tuple = CLASSES
    parts: tuple = SPLITS

    def __post_init__(self):
        for name, kind in (("source", str), ("verdict", str), ("fingerprint", dict)):
            if not isinstance(getattr(self, name), kind):
                raise DataError(f"{self.source}: {name} must be a {kind.__name__}; found: {type(getattr(self, name)).__name__}.")
        n = self.labels.shape[:1] if isinstance(self.labels, np.ndarray) else ()
        size = self.pixels.shape[-1] if self.is_own and isinstance(self.pixels, np.ndarray) else SIZE
        wanted = {"labels": (np.int64, n), "usage": (np.int64, n), "pixels": (np.uint8, (*n, 1, size, size))}
        if self.votes is not None or self.label_set == "ferplus_votes":
            wanted["votes"] = (np.uint8, (*n, 10))
        for name, (kind, shape) in wanted.items():
            array = getattr(self, name)
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            if found != f"{np.dtype(kind)} {shape}" or not shape:
                raise DataError(f"{self.source}: {name} must be a NumPy array, {np.dtype(kind)} {shape or '(N,)'}; found: {found}.")
            object.__setattr__(self, name, np.ascontiguousarray(array))  # torch takes no array that is read backwards
        for name, least, top in (("labels", NO_LABEL, len(self.classes) - 1), ("usage", 0, len(self.parts) - 1)):
            values = getattr(self, name)
            if len(wrong := values[(values < least) | (values > top)]):
                raise DataError(f"{self.source}: {name} must lie between {least} and {top}; found: {wrong[0]}.")
        known = ("own",) if self.is_own else LABEL_SETS
        if self.label_set not in known:
            raise DataError(f"{self.source}: label_set must be {', '.join(known)}; found: {self.label_set}.")

    @property
    def is_own(self):
        """Whether these are images of a user's own, and not FER-2013 or its stand-in."""
        return self.parts != SPLITS

    @property
    def size(self):
        """S, in pixels."""
        return self.pixels.shape[-1]

    @property
    def counts(self):
        """{part: {class: number of images}}, images without a label left out."""
        return {
            part: {name: int(np.sum((self.usage == s) & (self.labels == c))) for c, name in enumerate(self.classes)}
            for s, part in enumerate(self.parts)
        }


def classes_of(result):
    """The names of the classes of a run, from its result.json; runs of before own data had those of FER-2013."""
    return tuple((result.get("data") or {}).get("classes") or CLASSES)


def size_of(result):
    """The size of a run's images in pixels, from its result.json."""
    return int((result.get("data") or {}).get("size") or SIZE)


def check_faces(made, target):
    """What the reader named `target` made, if it is Faces. DataError otherwise."""
    if not isinstance(made, Faces):
        raise DataError(f"data._target_={target} returns {type(made).__name__}; a reader returns fer_lightning.data.faces.Faces.")
    return made
