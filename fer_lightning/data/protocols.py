"""Which pictures train, select and test a model. Every number carries the name of its protocol (checklist A.2)."""

from dataclasses import dataclass

import numpy as np

from fer_lightning.data.faces import NO_LABEL, SPLITS
from fer_lightning.errors import DataError


@dataclass(frozen=True)
class Split:
    """Indices into `Faces`; none in `test` where a protocol keeps no test set."""

    protocol: str
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def official(faces):
    """Training / PublicTest / PrivateTest: the usual published split (P1)."""
    return _by_usage(faces, "official", "Training", "PublicTest", "PrivateTest")


def swapped(faces):
    """Training / PrivateTest / PublicTest: what S4's code really does (P2)."""
    return _by_usage(faces, "swapped", "Training", "PrivateTest", "PublicTest")


def _by_usage(faces, protocol, *names):
    parts = [np.flatnonzero(faces.usage == SPLITS.index(name)) for name in names]
    for name, part in zip(names, parts, strict=True):
        labelled = int(np.sum(faces.labels[part] != NO_LABEL))
        if not labelled or labelled < len(part):
            raise DataError(
                f"{faces.source} has {labelled} labelled pictures of {len(part)} in {name}, and protocol={protocol} needs them all. "
                "Use an edition that has them: fer2013.csv, icml_face_data.csv or the folder edition."
            )
    return Split(protocol, *parts)
