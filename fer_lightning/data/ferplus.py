"""FER+ (Barsoum et al. 2016): the votes of ten people on each image of FER-2013, as Microsoft's fer2013new.csv holds them.

Its row k is row k of the published fer2013.csv, and nothing else joins the two: 173 rows name no image, and from row 60 on the number in
a name is not the row.
"""

import logging
from dataclasses import replace
from functools import cache
from hashlib import sha256

import numpy as np

from fer_lightning.data.csv_reader import read_lines, show, usage_index
from fer_lightning.data.faces import NO_LABEL, SPLITS
from fer_lightning.process.errors import DataError

FILE = "fer2013new.csv"
HOME = "https://github.com/microsoft/FERPlus"

OPTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
HEADER = ("Usage", "Image name", *OPTIONS)

# The column of each of CLASSES. The last three options are not classes of FER-2013; NF means not a face.
SHARED = [OPTIONS.index(name) for name in ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")]

# sha256 of the published table's labels in its order, one byte each. Folders and Parquet files have the same images in other orders.
ORDER = "f794993487dfeee2db4ebcc894efaf41b3bbe6b8901490fc789a0768b54272fd"

COUNTS = {str(n).encode(): n for n in range(11)}

AGAIN = f"Download it again from {HOME}."

log = logging.getLogger(__name__)


def read_votes(path):
    """The votes (N, 10) uint8, in the order of OPTIONS, and the usage (N,) of fer2013new.csv. DataError with file, line and reason."""
    votes, usage = [], []
    try:
        with open(path, "rb") as stream:
            lines = read_lines(stream)
            header = next(lines, (1, b""))[1].removeprefix(b"\xef\xbb\xbf").strip()
            if header != ",".join(HEADER).encode():
                raise DataError(f"{path}, line 1: the header must be {','.join(HEADER)}; found: {show(header)}. {AGAIN}")
            for number, line in lines:
                try:
                    row = _row(line)
                except ValueError as error:
                    raise DataError(f"{path}, line {number}: {error}. {AGAIN}") from None
                usage.append(row[0])
                votes.append(row[1])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}).") from error
    return np.array(votes, np.uint8).reshape(-1, len(OPTIONS)), np.array(usage, np.int64)


def _row(line):
    if line.count(b",") != len(HEADER) - 1:
        raise ValueError(f"it has {line.count(b',') + 1} columns rather than {len(HEADER)}")
    usage, _, votes = line.rstrip(b"\r\n").split(b",", 2)
    return usage_index(usage), _votes(votes)


@cache  # The 35,887 rows end in 5,335 different ways: 0.10 s rather than 0.17 s in all.
def _votes(text):
    cells = text.split(b",")
    votes = [COUNTS.get(cell) for cell in cells]
    if None in votes:
        wrong = votes.index(None)
        raise ValueError(f"{OPTIONS[wrong]} is {show(cells[wrong])}; an option has 0 to 10 votes")
    if sum(votes) not in (9, 10):  # line 10,437 of the published file has nine
        raise ValueError(f"it has {sum(votes)} votes rather than ten")
    return votes


def attach(faces, paths, needed):
    """`faces` with the votes of the first of the files `paths` that exists.

    DataError if there is none or if it does not fit; if the votes are not needed, `faces` are returned unchanged.
    """
    path = next((path for path in paths if path.is_file()), None)
    if path is None and not needed:
        return faces
    if path is None:
        raise DataError(
            f"There are no FER+ votes: no file {' or '.join(map(str, paths))}. Put {FILE} from {HOME} beside the data, "
            "or say where it is with data.ferplus=PATH."
        )
    try:
        return join(faces, path)
    except DataError as error:
        if needed:
            raise
        log.warning("%s The run goes on without FER+ scores.", error)
        return faces


def join(faces, path):
    """`faces` with the votes of the file `path`. DataError unless its rows are the images, one by one."""
    if sha256(faces.labels.astype(np.uint8)).hexdigest() != ORDER:
        raise DataError(
            f"{path}: its rows are those of the published fer2013.csv, and {faces.source} does not have the labels of that table in its "
            "order, so no vote can be given to its image. Use fer2013.csv, icml_face_data.csv or fer2013.tar.gz."
        )
    votes, usage = read_votes(path)
    if len(votes) != len(faces.labels):
        raise DataError(f"{path}: it has {len(votes):,} rows rather than {len(faces.labels):,}, one per image. {AGAIN}")
    wrong = np.flatnonzero(usage != faces.usage)
    if len(wrong):
        ours, theirs = (SPLITS[split[wrong[0]]] for split in (faces.usage, usage))
        raise DataError(f"{path}, line {wrong[0] + 2}: Usage is {theirs}, and this image is of {ours} in {faces.source}. {AGAIN}")
    return replace(faces, votes=votes)


def relabel(faces, label_set):
    """`faces` with their majority as labels, also under ferplus_votes: the two take the same images and differ only in their targets."""
    labels = majority(faces.votes)
    missing = np.bincount(faces.usage[labels == NO_LABEL], minlength=len(SPLITS))
    parts = ", ".join(f"{n:,} of {split}" for n, split in zip(missing, SPLITS, strict=True))
    log.info("data.labels=%s leaves out the images on which no class has most votes: %s", label_set, parts)
    return replace(faces, labels=labels, label_set=label_set)


def majority(votes):
    """The class with more votes than any other of the ten options; NO_LABEL if two lead or another option does. (N, 10) to (N,)."""
    leads = votes == votes.max(1, keepdims=True)
    clear = (leads.sum(1) == 1) & leads[:, SHARED].any(1)
    return np.where(clear, votes[:, SHARED].argmax(1), NO_LABEL)


def distribution(votes):
    """The shares of CLASSES in the votes that they got, (N, 10) to (N, 7) float32; zeros if none of them got any."""
    counts = votes[:, SHARED].astype(np.float32)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)
