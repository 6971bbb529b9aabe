"""What is fuzzed: for each kind of file, right ones to start from and a function that reads one made of any bytes.

A function returns whether the bytes were taken, and raises nothing but what it should not.
"""

import gzip
import io
import json
import tarfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fer_lightning.data.csv_reader import read_archive, read_table
from fer_lightning.data.faces import CLASSES, SPLITS
from fer_lightning.data.ferplus import HEADER, read_votes
from fer_lightning.data.folder_reader import decode
from fer_lightning.data.parquet_reader import read_parquet
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import DataError, UserError
from fer_lightning.runs.predictions import read_predictions
from fer_lightning.safety.untrusted_files import read_json, read_yaml

FACES = np.kron(np.random.default_rng(0).integers(0, 256, (3, 6, 6)), np.ones((8, 8), int)).astype(np.uint8)


def _taken(refusal, read, *arguments):
    try:
        read(*arguments)
    except refusal:
        return False
    return True


def _check_batches(batches):
    for pixels, labels, usage, _ in batches:
        assert pixels.dtype == np.uint8 and pixels.shape[1:] == (1, 48, 48) and len(pixels) == len(labels) == len(usage)
        assert set(labels) <= set(range(-1, len(CLASSES))) and set(usage) <= set(range(len(SPLITS)))


def _written(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def table(content, folder):
    return _taken(DataError, lambda path: _check_batches(read_table(path)), _written(folder, "fer2013.csv", content))


def gzipped(content, folder):
    return _taken(DataError, lambda path: _check_batches(read_archive(path)), _written(folder, "fer2013.tar.gz", content))


def archive(content, folder):
    """Of the archive inside the compression, which mutations would otherwise hardly ever get past."""
    return gzipped(gzip.compress(content, 1), folder)


def parquet(content, folder):
    return _taken(DataError, lambda path: _check_batches(read_parquet([path])), _written(folder, "train.parquet", content))


def face(content, folder):
    return _taken(DataError, decode, io.BytesIO(content), "face")


def votes(content, folder):
    return _taken(DataError, read_votes, _written(folder, "fer2013new.csv", content))


def picture(content, folder):
    return _taken(UserError, read_picture, _written(folder, "face.jpg", content))


def predictions(content, folder):
    return _taken(ValueError, read_predictions, _written(folder, "predictions.parquet", content).parent)


def result(content, folder):
    return _taken(ValueError, read_json, _written(folder, "result.json", content))


def config(content, folder):
    return _taken(ValueError, read_yaml, _written(folder, "config.yaml", content))


KINDS = {f.__name__: f for f in (table, gzipped, archive, parquet, face, votes, picture, predictions, result, config)}


def seeds(kind):
    """Right files of a kind, as bytes."""
    return {
        "table": [_table()],
        "gzipped": [gzip.compress(_archive())],
        "archive": [_archive(), _archive(tarfile.GNU_FORMAT, "x" * 120), _archive(tarfile.PAX_FORMAT, "é" * 90)],
        "parquet": [_parquet(image) for image in (FACES.tolist(), [{"bytes": _encoded(face, "PNG"), "path": "x"} for face in FACES])],
        "face": [_encoded(FACES[0], kind) for kind in ("PNG", "JPEG")],
        "votes": [(",".join(HEADER) + "\nTraining,fer0000000.png,4,0,0,1,3,2,0,0,0,0" * 2).encode()],
        "picture": [_encoded(FACES[0], kind) for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")],
        "predictions": [_predictions()],
        "result": [json.dumps({"status": "done", "job": {"cell": {"head.act": "gelu"}, "seed": 0}, "x": [1.5, None]}).encode()],
        "config": [b"a: {b: [1, 2.5, null, true]}\nc: ${a.b}\nd: 'x'\n"],
    }[kind]


def _table():
    rows = [f"{label},{' '.join(map(str, face.ravel()))},{split}" for label, face, split in zip((0, 3, 6), FACES, SPLITS)]
    return "\n".join(["emotion,pixels,Usage", *rows, ""]).encode()


def _archive(layout=tarfile.USTAR_FORMAT, folder="fer2013"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=layout) as archive:
        for name, content in ((f"{folder}/README", b"x"), (f"{folder}/fer2013.csv", _table())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _parquet(images):
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": images, "label": ["angry", "happy", "sad"], "usage": list(SPLITS)}), stream)
    return stream.getvalue()


def _encoded(face, kind):
    stream = io.BytesIO()
    Image.fromarray(face).save(stream, kind)
    return stream.getvalue()


def _predictions():
    stream = io.BytesIO()
    frame = pd.DataFrame({"row": [0, 1], "split": ["val", "test"], "label": [0, 1], "clean": pd.array([None, True], dtype="boolean")})
    frame.assign(p0=[0.5, 0.25], p1=[0.5, 0.75]).to_parquet(stream, index=False)
    return stream.getvalue()
