"""FER-2013 as text: fer2013.csv, icml_face_data.csv, train/val/test.csv, and the archive that holds the first.

Every reader yields (pixels (n, 1, 48, 48) uint8, labels (n,), usage (n,), lossy) and raises DataError with file, line and reason.
"""

import gzip
import logging
import re
import tarfile
from difflib import get_close_matches
from itertools import islice
from pathlib import PurePath

import numpy as np

from fer_lightning.data.faces import CLASSES, NO_LABEL, SIZE, SPLITS
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.process.errors import DataError

COLUMNS = ("emotion", "pixels", "Usage")
# The row numbers of a pandas frame, as pandas writes their column and as it names that column when it writes it again.
INDEX = re.compile(rb"(unnamed: [\d.]+)?")
LABELS = {str(c).encode(): c for c in range(len(CLASSES))}
USAGES = {split.encode(): s for s, split in enumerate(SPLITS)}
PIXELS = SIZE * SIZE
NO_SPLIT = -1

# Kaggle's test.csv is PublicTest and then PrivateTest, without labels.
PUBLIC, PRIVATE = (sum(OFFICIAL_COUNTS[split].values()) for split in SPLITS[1:])

# Of 4 to 256 rows at once, 16 are fastest: larger temporaries leave the core's cache and are returned to the system each time.
BATCH = 16

# The published archive unpacks to 301 MB.
LARGEST_ARCHIVE = 1_000_000_000
# Members that hold a long name or attributes of the next one.
TEXTS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
LONGEST_TEXT = 1 << 20

# Twice the longest valid line.
LINE_LIMIT = 20_000

AGAIN = "Download the file again, or correct it."

log = logging.getLogger(__name__)


def read_table(path):
    """A file with the columns emotion, pixels and Usage, in any order."""
    with open(path, "rb") as stream:
        yield from _parse(stream, path.name)


def read_archive(path):
    """The fer2013.csv inside fer2013.tar.gz, streamed: nothing is unpacked to the disk, and only what is a file by that name is read.

    The archive is read to its end, where its checksum is.
    """
    try:
        with gzip.open(path) as unpacked:
            stream = _Bounded(unpacked)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20, tarinfo=_Member) as archive:
                member = next((m for m in archive if m.isfile() and PurePath(m.name).name == "fer2013.csv"), None)
                if member is None:
                    raise DataError(f"{path.name}: the archive holds no fer2013.csv. Download it again.")
                yield from _parse(archive.extractfile(member), f"{path.name}/{member.name}")
            while stream.read(1 << 20):
                pass
    except Exception as error:  # tarfile raises nearly anything for a damaged header
        if isinstance(error, (DataError, OSError)) and not isinstance(error, gzip.BadGzipFile):
            raise
        raise DataError(f"{path.name}: the archive is cut or damaged ({error}). Download it again.") from error


def read_lines(stream):
    """Yields (number, line), cut at LINE_LIMIT: a file without line ends is not read into memory as one line."""
    return enumerate(iter(lambda: stream.readline(LINE_LIMIT), b""), 1)


def usage_index(cell):
    """Index into SPLITS of a cell of the column Usage. ValueError if it names no split."""
    if cell not in USAGES:
        close = get_close_matches(show(cell), SPLITS, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ValueError(f"Usage is {show(cell)}{hint}; a Usage is {', '.join(SPLITS)}")
    return USAGES[cell]


def show(cell):
    """Bytes of a file in a message, as text of limited length."""
    return repr(cell[:20])[1:] + ("..." if len(cell) > 20 else "")


class _Bounded:
    """A stream that raises an error if an archive unpacks to far more than the published one."""

    def __init__(self, stream):
        self._stream = stream
        self._left = LARGEST_ARCHIVE

    def read(self, size):
        block = self._stream.read(size)
        self._left -= len(block)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {LARGEST_ARCHIVE / 1e9:.0f} GB")
        return block


class _Member(tarfile.TarInfo):
    """A member with a bounded name and bounded attributes: tarfile reads them into memory, whatever their length."""

    def _proc_member(self, archive):
        if self.type in TEXTS and self.size > LONGEST_TEXT:
            raise tarfile.ReadError(f"a name or attributes of {self.size:,} bytes")
        return super()._proc_member(archive)


def read_files(train, val, test):
    """train.csv as Training, val.csv (or None) as PublicTest, test.csv as PrivateTest, unless a column Usage says otherwise.

    Without val.csv, a test.csv of 7,178 rows is Kaggle's: PublicTest, then PrivateTest. Only Kaggle's may lack labels.
    """
    for split, path in enumerate((train, val)):
        if path:
            with open(path, "rb") as stream:
                yield from _parse(stream, path.name, ("emotion", "pixels"), split)
    with open(test, "rb") as stream:
        batches = list(_parse(stream, test.name, ("pixels",), NO_SPLIT))
    pixels, labels, usage = (np.concatenate(part) for part in [*zip(*batches, strict=True)][:3])
    if NO_SPLIT in usage:
        if not val and len(usage) == PUBLIC + PRIVATE:
            usage = np.repeat([1, 2], [PUBLIC, PRIVATE])
        elif NO_LABEL in labels:
            raise DataError(
                f"{test.name}: {len(usage):,} images and no column emotion; only Kaggle's file of {PUBLIC + PRIVATE:,} may lack it."
            )
        else:
            usage[:] = 2
    yield pixels, labels, usage, False


def _parse(stream, name, required=COLUMNS, split=NO_SPLIT):
    """Batches of rows; `split` stands in for a column Usage."""
    lines = read_lines(stream)
    columns = _header(next(lines, (1, b""))[1], name, required)
    rows = ((image, *row) for image, row in enumerate((row for row in lines if not row[1].isspace()), 1))
    first = True
    while batch := list(islice(rows, BATCH)):
        yield _batch(batch, columns, name, split)
        first = False
    if first:
        raise DataError(f"{name}: a header and no images. {AGAIN}")


def _header(text, name, required):
    if not text.strip():
        raise DataError(f"{name}: the file is empty. {AGAIN}")
    found = [cell.lower() for cell in _cells(text.removeprefix(b"\xef\xbb\xbf"))]
    named = [cell for cell in found if not INDEX.fullmatch(cell)]
    missing = [column for column in required if column.lower().encode() not in named]
    unknown = [cell for cell in named if cell not in {column.lower().encode() for column in COLUMNS}]
    if missing or unknown or len(named) != len(set(named)):
        raise DataError(
            f"{name}, line 1: the columns must be {', '.join(required)}; missing: {', '.join(missing) or 'none'}; "
            f"found: {', '.join(map(show, found[:9]))}. {AGAIN if missing or not unknown else f'Remove {show(unknown[0])}.'}"
        )
    if len(named) < len(found):
        log.warning("%s: a column without a name is left out: row numbers, as pandas writes them", name)
    return found


def _batch(rows, columns, name, split):
    try:
        pixels, labels, usage = zip(*[_row(text, columns, split) for _, _, text in rows], strict=True)
        pixels = _fast(pixels)
    except ValueError:
        pixels, labels, usage = zip(*[_careful(row, columns, name, split) for row in rows], strict=True)
    return np.asarray(pixels, np.uint8).reshape(-1, 1, SIZE, SIZE), np.array(labels), np.array(usage), False


def _careful(row, columns, name, split):
    image, line, text = row
    try:
        field, label, usage = _row(text, columns, split)
        return _plain(field), label, usage
    except ValueError as error:
        raise DataError(f"{name}, line {line} (image {image}): {error}. {AGAIN}") from None


def _row(text, columns, split):
    cells = _cells(text)
    if len(cells) != len(columns):
        raise ValueError(f"it has {len(cells)} columns rather than {len(columns)}")
    cells = dict(zip(columns, cells, strict=True))
    if b"emotion" in cells and cells[b"emotion"] not in LABELS:
        raise ValueError(f"emotion is {show(cells[b'emotion'])}; an emotion is 0 to {len(CLASSES) - 1}")
    usage = usage_index(cells[b"usage"]) if b"usage" in cells else split
    return cells[b"pixels"], LABELS.get(cells.get(b"emotion"), NO_LABEL), usage


def _cells(text):
    cells = text.rstrip(b"\r\n").split(b",")
    return [(cell[1:-1] if len(cell) > 1 and cell[:1] == cell[-1:] == b'"' else cell).strip(b" ") for cell in cells]


def _plain(field):
    """The pixels of one row. This defines a pixel field; `_fast` gives the same result or raises ValueError."""
    values = [value for value in field.split(b" ") if value]
    for k, value in enumerate(values, 1):
        if not (value.isdigit() and len(value) <= 3 and int(value) <= 255):
            raise ValueError(f"pixel {k:,} is {show(value)}; a pixel is 0 to 255")
    if len(values) != PIXELS:
        raise ValueError(f"it has {len(values):,} pixels rather than {PIXELS:,}")
    return [int(value) for value in values]


def read_pixels(field):
    """The pixels of one row, a space between them. ValueError if it is not 2304 numbers from 0 to 255."""
    try:
        return _fast([field])
    except ValueError:
        return np.array(_plain(field), np.uint8)


def _fast(fields):
    """The pixels (n, 2304) of n rows with one space between values, all at once; ValueError if anything is unusual."""
    text = np.frombuffer(b" ".join(fields) + b" ", np.uint8)
    digits = text - np.uint8(ord("0"))  # any other character becomes more than 9
    ends = np.flatnonzero(text == ord(" "))
    rows = np.cumsum([len(field) + 1 for field in fields]) - 1
    if len(ends) != len(fields) * PIXELS or np.any(ends[PIXELS - 1 :: PIXELS] != rows):
        raise ValueError
    # At the start of the text, a negative index reads the last space.
    ones, tens, hundreds = digits[ends - 1], digits[ends - 2], digits[ends - 3]
    two = tens < 10
    three = two & (hundreds < 10)
    used = len(ends) + np.count_nonzero(two) + np.count_nonzero(three)
    if ones.max() > 9 or not used == np.count_nonzero(digits < 10) == len(text) - len(ends):
        raise ValueError
    values = (hundreds * three).astype(np.uint16) * 100 + tens * two * 10 + ones
    if values.max() > 255:
        raise ValueError
    return values.astype(np.uint8)
