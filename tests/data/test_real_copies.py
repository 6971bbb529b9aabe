"""The real FER-2013, where there is a copy: its verdict, its images against a plain reading, the other layouts, the cache, the memory."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.project import ROOT, TABLE, needs_fer2013
from PIL import Image

from fer_lightning.data import cache, fer2013
from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS
from fer_lightning.data.published_copy import FINGERPRINTS, OFFICIAL_COUNTS, verdict

pytestmark = needs_fer2013


@pytest.fixture
def folder():
    """Not tmp_path: pytest keeps that, and copies of the data are large."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture(scope="module")
def cache_dir():
    with tempfile.TemporaryDirectory() as path:
        yield path


@pytest.fixture(scope="module")
def faces(cache_dir):
    return fer2013.read(TABLE, cache_dir)


@pytest.fixture(scope="module")
def rows():
    """(emotion, pixels, Usage) of every row, as bytes."""
    with open(TABLE, "rb") as stream:
        return [line.strip().split(b",") for line in stream][1:]


def same(ours, faces):
    for name in ("pixels", "labels", "usage"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(faces, name))


def test_it_is_the_published_copy(faces):
    assert faces.verdict == "official"
    assert faces.fingerprint == FINGERPRINTS
    assert faces.counts == OFFICIAL_COUNTS
    assert np.bincount(faces.usage).tolist() == [28709, 3589, 3589]


def test_rows_are_what_a_plain_reading_gives(faces):
    wanted = set(np.random.default_rng(0).choice(len(faces.labels), 500, replace=False).tolist())
    with open(TABLE) as stream:
        for i, line in enumerate(stream, -1):
            if i in wanted:
                label, pixels, usage = line.strip().split(",")
                assert [int(value) for value in pixels.split()] == faces.pixels[i].ravel().tolist()
                assert (int(label), SPLITS.index(usage)) == (faces.labels[i], faces.usage[i])


def test_the_cache_is_the_same_and_opens_no_table(faces, cache_dir, monkeypatch):
    def opened(*_):
        raise AssertionError("hashing the file takes 0.2 s, reading it 2 s, and neither is needed")

    monkeypatch.setattr(cache, "_content", opened)
    monkeypatch.setattr(fer2013, "read_table", opened)
    again = fer2013.read(TABLE, cache_dir)
    same(again, faces)
    assert (again.source, again.verdict, again.fingerprint) == (faces.source, faces.verdict, faces.fingerprint)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_the_first_read_stays_below_150_mb(folder):
    code = "import sys; from fer_lightning.data.fer2013 import read; read(*sys.argv[1:]); print(open('/proc/self/status').read())"
    status = subprocess.run([sys.executable, "-c", code, TABLE, folder], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 150 * 1024


def test_icml_table(faces, rows, folder):
    with open(folder / "icml_face_data.csv", "wb") as stream:
        stream.writelines([b"emotion, Usage, pixels\n", *(b"%b,%b,%b\n" % (e, u, p) for e, p, u in rows)])
    ours = fer2013.read(folder, folder / "cache")
    assert ours.verdict == "official"
    same(ours, faces)


def test_kaggle_pair(faces, rows, folder):
    with open(folder / "train.csv", "wb") as stream:
        stream.writelines([b"emotion,pixels\r\n", *(b'%b,"%b"\r\n' % (e, p) for e, p, u in rows if u == b"Training")])
    with open(folder / "test.csv", "wb") as stream:
        stream.writelines([b"pixels\r\n", *(b'"%b"\r\n' % p for _, p, u in rows if u != b"Training")])
    ours = fer2013.read(folder, folder / "cache", accept_modified=True)
    assert ours.verdict == "unknown" and ours.fingerprint["Training"] == FINGERPRINTS["Training"]
    same(replace(ours, labels=faces.labels), faces)
    np.testing.assert_array_equal(ours.labels, np.where(faces.usage == 0, faces.labels, NO_LABEL))


def encode(image, kind, **options):
    stream = BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def test_numbered_png_edition(faces, folder):
    """Its test/ in full; of its train/ one image a class, because 28,709 files take 10 s."""
    for c, name in enumerate(("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")):
        members = np.flatnonzero(faces.labels == c)
        for place, part in (("train", members[:1]), ("test", members[faces.usage[members] > 0])):
            (folder / place / name).mkdir(parents=True)
            for k, i in enumerate(part):
                (folder / place / name / f"im{k}.png").write_bytes(encode(faces.pixels[i, 0], "PNG", compress_level=1))
    ours = fer2013.read(folder, folder / "cache", accept_modified=True)
    assert [ours.fingerprint[split] for split in SPLITS[1:]] == [FINGERPRINTS[split] for split in SPLITS[1:]]


def test_jpeg_in_parquet_with_nameless_alphabetical_labels(faces, folder):
    """Quality 75 moves a pixel by 3.9 grey levels on average, three times what the JPEG edition does."""
    ids = [sorted(CLASSES).index(name) for name in CLASSES]
    for s, split in enumerate(("train", "publicTest", "privateTest")):
        part = np.flatnonzero(faces.usage == s)
        images, labels = [encode(faces.pixels[i, 0], "JPEG", quality=75) for i in part], [ids[c] for c in faces.labels[part]]
        pq.write_table(pa.table({"img_bytes": images, "labels": labels}), folder / f"{split}-00000-of-00001.parquet")
    ours = fer2013.read(folder, folder / "cache")
    assert ours.verdict == "official-lossy"
    np.testing.assert_array_equal(ours.labels, faces.labels)


def test_a_blurred_copy_is_not_taken_for_a_lossy_one(faces):
    pixels = np.array(faces.pixels)
    pixels[..., 1:] = (3 * pixels[..., 1:].astype(np.uint16) + pixels[..., :-1]) // 4
    assert verdict(replace(faces, pixels=pixels, fingerprint=dict.fromkeys(SPLITS)), lossy=True) == "modified"
