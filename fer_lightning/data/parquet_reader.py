"""FER-2013 as the Parquet files of Hugging Face: images in one column, encoded, as lists or as the CSV's text, and classes in another."""

import json
import re
from io import BytesIO

import numpy as np

from fer_lightning.data.csv_reader import read_pixels
from fer_lightning.data.faces import CLASSES, SIZE, SPLITS
from fer_lightning.data.folder_reader import SPLIT_NAMES, class_index, decode
from fer_lightning.data.published_copy import OFFICIAL_COUNTS
from fer_lightning.process.errors import DataError

# The names of columns, in any case.
IMAGES = ("image", "img_bytes", "jpg", "pixels")
LABELS = ("label", "labels", "emotion", "cls")
USAGE = ("usage",)
BATCH = 256

# The published copy has 35,887 rows and, as lists of numbers, 660 MB.
MOST_ROWS = 1_000_000
LARGEST_GROUP = 2_000_000_000

# Integer labels follow the CSV or the alphabet: order[integer] is an index into CLASSES.
ORDERS = (tuple(range(len(CLASSES))), tuple(CLASSES.index(name) for name in sorted(CLASSES)))


def list_tables(folder):
    """The Parquet files in `folder`, by split and name."""
    return sorted(folder.glob("[!.]*.parquet"), key=lambda file: (SPLIT_NAMES.get(_split_name(file), len(SPLITS)), file.name))


def read_parquet(files):
    """The images of all files, as (pixels (n, 1, 48, 48) uint8, labels (n,), usage (n,), lossy).

    The split is in a column `usage` or in the name of the file: train-..., publicTest-..., validation-...
    """
    from pyarrow.parquet import ParquetFile

    try:
        tables = [(file, ParquetFile(file)) for file in files]
        _check_sizes(tables)
        usage = [_usage(*table) for table in tables]
        _check_usage(files[0].parent, np.concatenate(usage))
        labels = _labels(tables, usage)
        for (file, table), label, use in zip(tables, labels, usage, strict=True):
            start = 0
            for batch in table.iter_batches(BATCH, columns=[_column(file, table, IMAGES)]):
                values = batch.column(0).to_pylist()
                images = [_image(value, f"{file.name}, row {k}") for k, value in enumerate(values, start + 1)]
                part = slice(start, start + len(images))
                _check_length(file, images, label[part], use[part])
                yield np.stack([pixels[None] for pixels, _ in images]), label[part], use[part], any(lossy for _, lossy in images)
                start = part.stop
            _check_length(file, label[start:], use[start:], ())
    except DataError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise DataError(f"{files[0].parent}: the Parquet files are damaged ({error}). Download them again.") from error


def _check_sizes(tables):
    """A file of a few KB can unpack to more than any memory, so what it says of its size is checked first."""
    for file, table in tables:
        groups = [table.metadata.row_group(g) for g in range(table.num_row_groups)]
        size = max((group.total_byte_size for group in groups), default=0)
        rows = max(table.metadata.num_rows, sum(group.num_rows for group in groups))
        if rows > MOST_ROWS or size > LARGEST_GROUP:
            raise DataError(f"{file.name}: {rows:,} rows, and {size:,} bytes at once, are no FER-2013. Download it again.")


def _check_length(file, *columns):
    if len({len(column) for column in columns}) > 1:
        raise DataError(f"{file.name}: its columns have different lengths. Download it again.")


def _split_name(file):
    return re.split("[-_.]", file.name)[0].lower()


def _find(table, names):
    return next((name for name in table.schema_arrow.names if name.lower() in names), None)


def _column(file, table, names):
    if (found := _find(table, names)) is None:
        raise DataError(f"{file.name}: no column {', '.join(names)}; found: {', '.join(table.schema_arrow.names[:9])}.")
    return found


def _values(table, column):
    return table.read([column]).column(0).to_pylist()


def _usage(file, table):
    if column := _find(table, USAGE):
        values = _values(table, column)
        unknown = set(values) - set(SPLITS)
        if unknown:
            raise DataError(f"{file.name}: usage is {unknown.pop()!r}; a usage is {', '.join(SPLITS)}.")
        return np.array([SPLITS.index(value) for value in values], np.int64)
    name = _split_name(file)
    if name not in SPLIT_NAMES:
        raise DataError(f"{file.name}: neither its name nor a column usage gives its split. Start the name with train, validation or test.")
    return np.full(table.metadata.num_rows, SPLIT_NAMES[name])


def _check_usage(folder, usage):
    if not usage.size:
        raise DataError(f"{folder}: the Parquet files hold no images.")
    both = sum(sum(OFFICIAL_COUNTS[split].values()) for split in SPLITS[1:])
    if 1 not in usage and np.sum(usage == 2) == both:
        raise DataError(
            f"{folder}: which of the {both:,} images of test are PublicTest and which are PrivateTest is unknown. These say it: "
            "fer2013.csv, icml_face_data.csv, folders of PublicTest_*.jpg and PrivateTest_*.jpg, publicTest-*.parquet."
        )


def _labels(tables, usage):
    """An array of indices into CLASSES per table: by name if there are names, else in the order that gives the published counts."""
    labels, named = [], True
    for file, table in tables:
        column = _column(file, table, LABELS)
        values, names = _values(table, column), _class_names(table, column)
        top = len(names or CLASSES) - 1
        if all(isinstance(value, str) for value in values):
            values = [class_index(value, f"{file.name}, row {k}") for k, value in enumerate(values, 1)]
        else:
            for k, value in enumerate(values, 1):
                if not (isinstance(value, int) and 0 <= value <= top):
                    raise DataError(f"{file.name}, row {k}: {column} is {value!r}; it is a class name, or 0 to {top}.")
            if names:
                values = [class_index(names[value], file.name) for value in values]
            elif not _is_text(table, _column(file, table, IMAGES)):  # with the CSV's pixels, its numbers too
                named = False
        labels.append(np.array(values, np.int64))
    if named:
        return labels
    together, splits = np.concatenate(labels), np.concatenate(usage)
    for order in ORDERS:
        if all(_published(np.take(order, together[splits == s]), s) for s in np.unique(splits)):
            return [np.take(order, label) for label in labels]
    raise DataError(
        f"{tables[0][0].parent}: the order of the classes is unknown: the files hold numbers without names, "
        "and neither the order of the CSV nor the alphabet gives the published number of images of each class."
    )


def _is_text(table, column):
    return str(table.schema_arrow.field(column).type) in ("string", "large_string")


def _published(labels, split):
    return np.bincount(labels, minlength=len(CLASSES)).tolist() == list(OFFICIAL_COUNTS[SPLITS[split]].values())


def _class_names(table, column):
    """The names that Hugging Face's metadata give a column of integers, unless they are only its numbers again."""
    try:
        feature = json.loads(table.schema_arrow.metadata[b"huggingface"])["info"]["features"][column]
        return None if all(name.isdigit() for name in feature["names"]) else feature["names"]
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def _image(value, where):
    """(pixels, lossy) of a struct {bytes, path}, of bytes, of a list of 48 lists of 48, or of the text of the CSV."""
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, bytes):
        return decode(BytesIO(value), where), not value.startswith(b"\x89PNG")
    if isinstance(value, str):
        try:
            return read_pixels(value.encode()).reshape(SIZE, SIZE), False
        except ValueError as error:
            raise DataError(f"{where}: {error}. Download the file again, or correct it.") from None
    pixels = np.array(value)
    if pixels.shape != (SIZE, SIZE) or pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
        raise DataError(f"{where}: not an image: neither bytes nor {SIZE} lists of {SIZE} numbers from 0 to 255.")
    return pixels.astype(np.uint8), False
