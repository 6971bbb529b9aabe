"""Every layout of a made-up copy gives the same images; every damage is named with its file and row; the cache changes nothing."""

import csv
import gzip
import io
import json
import logging
import os
import struct
import subprocess
import sys
import tarfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from fer_lightning.data import cache, csv_reader, fer2013
from fer_lightning.data import published_copy as verdict
from fer_lightning.data.csv_reader import read_table
from fer_lightning.data.faces import CLASSES, NO_LABEL, SPLITS
from fer_lightning.process.errors import DataError

COUNTS = {"Training": (3, 1, 3, 6, 4, 2, 5), "PublicTest": (2, 1, 2, 3, 2, 1, 2), "PrivateTest": (1, 2, 2, 3, 3, 2, 1)}
RNG = np.random.default_rng(0)
USAGE = np.repeat([0, 1, 2], [sum(n) for n in COUNTS.values()])
LABELS = np.concatenate([RNG.permutation(np.repeat(np.arange(7), n)) for n in COUNTS.values()])
# Blocks of 4 x 4: JPEG keeps their deviation, a blur does not.
PIXELS = np.kron(RNG.integers(0, 256, (len(USAGE), 12, 12)), np.ones((4, 4), int)).astype(np.uint8)
TEXT = [" ".join(map(str, image.ravel())) for image in PIXELS]
ROWS = list(zip(LABELS, TEXT, (SPLITS[s] for s in USAGE), strict=True))
ALPHABETICAL = sorted(CLASSES)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "copy").mkdir()
    return tmp_path / "copy"


@pytest.fixture
def published(monkeypatch):
    """For this test, the made-up copy is the published one."""
    for s, split in enumerate(SPLITS):
        monkeypatch.setitem(verdict.OFFICIAL_COUNTS, split, dict(zip(CLASSES, COUNTS[split], strict=True)))
        part = PIXELS[s == USAGE] / 255
        monkeypatch.setitem(verdict.MOMENTS, split, (part.mean(), part.std()))
    for split, digest in verdict.fingerprint(PIXELS, LABELS, USAGE).items():
        monkeypatch.setitem(verdict.FINGERPRINTS, split, digest)
    monkeypatch.setattr(csv_reader, "PUBLIC", sum(COUNTS["PublicTest"]))
    monkeypatch.setattr(csv_reader, "PRIVATE", sum(COUNTS["PrivateTest"]))


def table(rows=ROWS, end="\n"):
    return "".join(line + end for line in ["emotion,pixels,Usage", *(f"{e},{p},{u}" for e, p, u in rows)]).encode()


def encode(image, kind="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def as_csv(root):
    (root / "fer2013.csv").write_bytes(table())


def as_csv_with_bom_and_crlf(root):
    (root / "fer2013.csv").write_bytes(b"\xef\xbb\xbf" + table(end="\r\n"))


def as_icml(root):
    lines = ["emotion, Usage, pixels", *(f"{e},{u},{p}" for e, p, u in ROWS)]
    (root / "icml_face_data.csv").write_text("\n".join(lines))


def as_archive(root):
    with tarfile.open(root / "fer2013.tar.gz", "w:gz") as archive:
        for name, content in (("fer2013/README", b"x"), ("fer2013/fer2013.csv", table()), ("fer2013/fer2013.bib", b"y")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def as_split_files(root):
    for s, name in enumerate(("train", "val", "test")):
        with open(root / f"{name}.csv", "w", newline="") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
            writer.writerows([("emotion", "pixels"), *((e, p) for e, p, u in ROWS if u == SPLITS[s])])


def as_split_files_with_usage(root):
    for name, splits in (("train", SPLITS[:1]), ("test", SPLITS[1:])):
        (root / f"{name}.csv").write_bytes(table([row for row in ROWS if row[2] in splits]))


def as_folders(root, kind="PNG", suffix="png", change=lambda image: image, **options):
    for i, image in enumerate(PIXELS):
        folder = root / ("train" if USAGE[i] == 0 else "test") / CLASSES[LABELS[i]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{SPLITS[USAGE[i]]}_{i}.{suffix}").write_bytes(encode(change(image), kind, **options))
        (folder / "Thumbs.db").write_bytes(b"no image")
        (folder / f"._{i}.{suffix}").write_bytes(b"no image")


def as_own_folders(root):
    names = ("Anger", "disgusted", "FEARFUL", "happiness", "sadness", "surprised", "Neutral")
    for i, image in enumerate(PIXELS):
        folder = root / ("Train", "validation", "test")[USAGE[i]] / names[LABELS[i]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"face {i}.png").write_bytes(encode(np.stack([image] * 3, -1)))


def as_parquet(root, names=("train", "publicTest", "privateTest"), label=lambda c: ALPHABETICAL.index(CLASSES[c]), classes=ALPHABETICAL):
    for s, name in enumerate(names):
        rows = np.flatnonzero(s == USAGE)
        columns = {"image": [{"bytes": encode(PIXELS[i]), "path": f"{i}.png"} for i in rows], "label": [label(LABELS[i]) for i in rows]}
        features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"} if classes else {"dtype": "int64"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), root / f"{name}-00000-of-00001.parquet")


def as_parquet_of_lists(root):
    """One file, split by a column, classes by name."""
    columns = {"image": PIXELS.tolist(), "emotion": [CLASSES[c] for c in LABELS], "usage": [SPLITS[s] for s in USAGE]}
    pq.write_table(pa.table(columns), root / "all.parquet")


LAYOUTS = [as_csv, as_csv_with_bom_and_crlf, as_icml, as_archive, as_split_files, as_split_files_with_usage]
LAYOUTS += [as_folders, as_own_folders, as_parquet, as_parquet_of_lists]


def check(faces):
    assert faces.pixels.shape == (len(PIXELS), 1, 48, 48) and faces.pixels.dtype == np.uint8
    assert faces.labels.dtype == faces.usage.dtype == np.int64
    np.testing.assert_array_equal(faces.pixels[:, 0], PIXELS)
    np.testing.assert_array_equal(faces.labels, LABELS)
    np.testing.assert_array_equal(faces.usage, USAGE)


@pytest.mark.parametrize("write", LAYOUTS)
@pytest.mark.parametrize("below", ["", "fer2013", "data"])
def test_every_layout_gives_the_same_images(root, write, below, published):
    (root / below).mkdir(exist_ok=True)
    write(root / below)
    faces = fer2013.read(root)
    check(faces)
    assert faces.verdict == "official"
    assert Path(faces.source).is_relative_to(root / below)
    check(fer2013.read(root))


def test_a_file_can_be_named_instead_of_its_folder(root):
    for write in (as_icml, as_archive, as_parquet_of_lists, as_split_files):
        write(root)
    for name in ("icml_face_data.csv", "fer2013.tar.gz", "all.parquet", "train.csv"):
        check(fer2013.read(root / name, accept_modified=True))


def test_kaggle_test_file_is_split_by_position_and_has_no_labels(root, published):
    (root / "train.csv").write_text("emotion,pixels\r\n" + "".join(f'{e},"{p}"\r\n' for e, p, u in ROWS if u == "Training"), newline="")
    (root / "test.csv").write_text("pixels\r\n" + "".join(f'"{p}"\r\n' for e, p, u in ROWS if u != "Training"), newline="")
    faces = fer2013.read(root, accept_modified=True)
    np.testing.assert_array_equal(faces.pixels[:, 0], PIXELS)
    np.testing.assert_array_equal(faces.usage, USAGE)
    np.testing.assert_array_equal(faces.labels, np.where(USAGE == 0, LABELS, NO_LABEL))
    assert faces.verdict == "unknown"
    with pytest.raises(DataError, match=r"PublicTest has no labelled images.* 27 images have no label.*data\.accept_modified=true"):
        fer2013.read(root)
    (root / "test.csv").write_text("pixels\n" + TEXT[0])
    with pytest.raises(DataError, match=r"test\.csv: 1 images and no column emotion"):
        fer2013.read(root)
    (root / "test.csv").unlink()
    with pytest.raises(DataError, match=r"test\.csv: missing"):
        fer2013.read(root)


def test_numbered_png_edition_is_split_by_position(root, published):
    for c, name in enumerate(("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")):
        for folder, splits in (("train", [0]), ("test", [1, 2])):
            (root / folder / name).mkdir(parents=True)
            for k, i in enumerate(np.flatnonzero(np.isin(USAGE, splits) & (c == LABELS))):
                (root / folder / name / f"im{k}.png").write_bytes(encode(PIXELS[i]))
    assert fer2013.read(root).verdict == "official"
    (root / "test" / "happy" / "im0.png").unlink()
    with pytest.raises(DataError, match=r"is unknown.*test/happy/ is not im0\.png to im5\.png"):
        fer2013.read(root)


def test_jpeg_is_official_lossy_and_a_blurred_copy_is_modified(tmp_path, published):
    for name, quality, blur in (("jpeg", 95, 0), ("blurred", 95, 1), ("blurred_png", None, 1)):
        options = {"kind": "JPEG", "suffix": "jpg", "quality": quality} if quality else {}
        as_folders(tmp_path / name, change=lambda p, r=blur: np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(r))), **options)
    assert fer2013.read(tmp_path / "jpeg").verdict == "official-lossy"
    assert fer2013.read(tmp_path / "blurred", accept_modified=True).verdict == "modified"
    with pytest.raises(DataError, match=r"every class is right, but their pixels or labels are not.*data\.accept_modified=true"):
        fer2013.read(tmp_path / "blurred_png")


def test_other_counts_are_modified_and_the_difference_is_told(root):
    (root / "fer2013.csv").write_bytes(table())
    with pytest.raises(DataError, match=r"Training has angry 3 rather than 3,995, disgust 1 rather than 436.*PrivateTest has angry 1"):
        fer2013.read(root)
    assert fer2013.read(root, accept_modified=True).verdict == "modified"


@pytest.mark.parametrize(
    ("classes", "label"),
    [
        (None, lambda c: int(c)),
        (None, lambda c: ALPHABETICAL.index(CLASSES[c])),
        (list("0123456"), lambda c: ALPHABETICAL.index(CLASSES[c])),
        (list(CLASSES), lambda c: int(c)),
    ],
)
def test_parquet_numbers_get_their_class_from_names_or_counts(root, published, classes, label):
    as_parquet(root, classes=classes, label=label)
    check(fer2013.read(root))


def test_parquet_that_cannot_be_told_is_refused(root, published):
    as_parquet(root, classes=None, label=lambda c: (int(c) + 1) % 7)
    with pytest.raises(DataError, match="order of the classes is unknown"):
        fer2013.read(root)
    as_parquet(root, classes=["angry", "disgust", "fear", "hapy", "sad", "surprise", "neutral"], label=int)
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet.*no class 'hapy'. Did you mean happy"):
        fer2013.read(root)
    as_parquet(root, classes=None, label=lambda c: 7)
    with pytest.raises(DataError, match=r"train-00000-of-00001\.parquet, row 1: label is 7; it is a class name, or 0 to 6"):
        fer2013.read(root)


def test_parquet_with_pooled_test_or_nameless_split_is_refused(root, published):
    as_parquet(root)
    pooled = pa.concat_tables([pq.read_table(root / f"{name}-00000-of-00001.parquet") for name in ("publicTest", "privateTest")])
    for file in root.glob("p*.parquet"):
        file.unlink()
    pq.write_table(pooled, root / "test.parquet")
    with pytest.raises(DataError, match=r"which of the 27 images of test are PublicTest.*fer2013\.csv"):
        fer2013.read(root)
    (root / "test.parquet").rename(root / "holdout.parquet")
    with pytest.raises(DataError, match=r"holdout\.parquet: neither its name nor a column usage gives its split"):
        fer2013.read(root)


def frame():
    return pd.DataFrame(ROWS, columns=["emotion", "pixels", "Usage"])


def indexed_twice(root):
    frame().to_csv(root / "once")
    pd.read_csv(root / "once").to_csv(root / "fer2013.csv")


@pytest.mark.parametrize(
    "write",
    [
        lambda root: frame().to_csv(root / "fer2013.csv"),
        lambda root: frame().sample(frac=1, random_state=0).sort_index().to_csv(root / "icml_face_data.csv", quoting=csv.QUOTE_ALL),
        lambda root: (root / "fer2013.csv").write_bytes(table().replace(b"\n", b",\n")),
        indexed_twice,
    ],
)
def test_the_row_numbers_of_pandas_are_left_out_and_it_is_said(root, write, published, caplog):
    write(root)
    check(fer2013.read(root))
    assert "a column without a name is left out" in caplog.text


@pytest.mark.parametrize("case", [str, str.upper, str.capitalize])
def test_the_table_as_parquet_is_read_whatever_the_case_of_its_columns(root, published, case):
    frame().rename(columns=case).to_parquet(root / "all.parquet")
    check(fer2013.read(root))
    as_parquet_of_lists(root)
    lists = pq.read_table(root / "all.parquet")
    pq.write_table(lists.rename_columns([case(name) for name in lists.column_names]), root / "all.parquet")
    check(fer2013.read(root))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"face": [b""], "label": ["happy"]}, "train.parquet: no column image, img_bytes, jpg, pixels; found: face, label"),
        ({"pixels": ["1 2 3"], "emotion": [3]}, "train.parquet, row 1: it has 3 pixels rather than 2,304"),
        ({"pixels": ["1 " * 2303 + "256"], "emotion": [3]}, "train.parquet, row 1: pixel 2,304 is '256'"),
        ({"image": [b""], "class": ["happy"]}, "train.parquet: no column label"),
        ({"image": [b"GIF89a"], "label": ["happy"]}, "train.parquet, row 1: the image is damaged"),
        ({"image": [encode(PIXELS[0]), encode(PIXELS[0][:40])], "label": ["happy"] * 2}, "row 2: the image is 48 x 40; FER-2013 is"),
        ({"image": [{"bytes": None, "path": "a.png"}], "label": ["happy"]}, "row 1: not an image"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.string())}, "the Parquet files hold no images"),
        ({"image": [[[256] * 48] * 48], "label": ["happy"]}, "row 1: not an image"),
        ({"image": [encode(PIXELS[0])], "label": ["happy"], "usage": ["train"]}, "usage is 'train'; a usage is Training, PublicTest"),
    ],
)
def test_a_wrong_parquet_file_is_explained(root, columns, message):
    pq.write_table(pa.table(columns), root / "train.parquet")
    with pytest.raises(DataError) as error:
        fer2013.read(root)
    assert message in str(error.value)


def test_a_damaged_parquet_file_is_explained(root):
    as_parquet(root)
    file = root / "train-00000-of-00001.parquet"
    content = file.read_bytes()
    for damaged in (content[:1000], content[:1000] + bytes(2000) + content[3000:], b""):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            fer2013.read(root)


def line(k):
    """Row k of the table, 0-based, as bytes."""
    return table().splitlines(keepends=True)[k + 1]


def with_pixel(text, at=56):
    values = TEXT[20].split()
    values[at : at + 1] = [text] if text is not None else []
    return table().replace(TEXT[20].encode(), " ".join(values).encode())


DAMAGE = {
    "pixel 256": (with_pixel("256"), "fer2013.csv, line 22 (image 21): pixel 57 is '256'; a pixel is 0 to 255"),
    "pixel -1": (with_pixel("-1"), "line 22 (image 21): pixel 57 is '-1'"),
    "pixel 300": (with_pixel("300"), "line 22 (image 21): pixel 57 is '300'"),
    "pixel 65541": (with_pixel("65541"), "line 22 (image 21): pixel 57 is '65541'"),
    "pixel 12.5": (with_pixel("12.5"), "line 22 (image 21): pixel 57 is '12.5'"),
    "pixel text": (with_pixel("face"), "line 22 (image 21): pixel 57 is 'face'"),
    "pixel of other digits": (with_pixel("٣"), "line 22 (image 21): pixel 57 is '\\xd9\\xa3'"),
    "pixel NUL": (with_pixel("1\0"), "line 22 (image 21): pixel 57 is '1\\x00'"),
    "pixel bytes": (with_pixel("@@").replace(b"@@", b"\xff\xfe"), "line 22 (image 21): pixel 57 is '\\xff\\xfe'"),
    "last pixel 999": (with_pixel("999", 2303), "line 22 (image 21): pixel 2,304 is '999'"),
    "2303 pixels": (with_pixel(None), "line 22 (image 21): it has 2,303 pixels rather than 2,304"),
    "2305 pixels": (with_pixel("1 2"), "line 22 (image 21): it has 2,305 pixels rather than 2,304"),
    "one pixel moved to the next row": (
        table().replace(f"{TEXT[20]},".encode(), f"{TEXT[20]} 7,".encode()).replace(TEXT[21].encode(), TEXT[21].split(" ", 1)[1].encode()),
        "line 22 (image 21): it has 2,305 pixels",
    ),
    "no pixels": (table().replace(TEXT[20].encode(), b""), "line 22 (image 21): it has 0 pixels"),
    "short row": (table().replace(line(20), b"3\n"), "line 22 (image 21): it has 1 columns rather than 3"),
    "extra column": (table().replace(line(20), line(20)[:-1] + b",7\n"), "line 22 (image 21): it has 4 columns rather than 3"),
    "label 7": (table().replace(line(20), b"7" + line(20)[1:]), "line 22 (image 21): emotion is '7'; an emotion is 0 to 6"),
    "label -1": (table().replace(line(20), b"-" + line(20)), "(image 21): emotion is '-"),
    "label x": (table().replace(line(20), b"x" + line(20)[1:]), "line 22 (image 21): emotion is 'x'"),
    "label empty": (table().replace(line(20), line(20)[1:]), "line 22 (image 21): emotion is ''"),
    "Usage Train": (table().replace(line(20), line(20).replace(b"Training", b"Train")), "Usage is 'Train' (did you mean Training?)"),
    "Usage lower": (table().replace(line(50), line(50).lower()), "line 52 (image 51): Usage is 'privatetest' (did you mean Pri"),
    "after blank lines": (b"\n\n".join(with_pixel("256").splitlines()), "line 43 (image 21): pixel 57 is '256'"),
    "cut inside the last word": (table()[:-5], f"line 52 (image 51): Usage is '{SPLITS[2][:-4]}' (did you mean PrivateTest?)"),
    "cut inside the pixels": (table()[:-3000], "line 52 (image 51): it has 2 columns rather than 3"),
    "empty": (b"", "fer2013.csv: the file is empty"),
    "header only": (b"emotion,pixels,Usage\n\n", "fer2013.csv: a header and no images"),
    "index named": (table().replace(b"emotion,", b"id,emotion,"), "found: 'id', 'emotion', 'pixels', 'usage'. Remove 'id'."),
    "indices alone": (b",,Unnamed: 0\n", "missing: emotion, pixels, Usage; found: '', '', 'unnamed: 0'. Download"),
    "missing column": (b"emotion,pixels\n", "line 1: the columns must be emotion, pixels, Usage; missing: Usage; found: 'emotion',"),
    "unknown column": (b"emotion,pixels,Usage,id\n", "missing: none; found: 'emotion', 'pixels', 'usage', 'id'"),
    "double column": (b"emotion,pixels,Usage,pixels\n", "missing: none; found: 'emotion', 'pixels', 'usage', 'pixels'"),
    "no header": (table().split(b"\n", 1)[1], "line 1: the columns must be"),
    "garbage": (bytes(range(128, 256)) * 2000, "line 1: the columns must be"),
    "NUL bytes": (bytes(100_000), "line 1: the columns must be"),
    "UTF-16": (table().decode().encode("utf-16"), "line 1: the columns must be"),
    "one endless line": (b"emotion,pixels,Usage\n" + b"3," + b"1 " * 1_000_000, "line 2 (image 1): it has 2 columns"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_the_table_is_named_with_its_file_and_row(root, damage, tmp_path):
    content, message = DAMAGE[damage]
    (root / "fer2013.csv").write_bytes(content)
    as_folders(root)  # a good layout beside the bad one is no excuse
    with pytest.raises(DataError) as error:
        fer2013.read(root, accept_modified=True)
    assert "fer2013.csv" in str(error.value) and message in str(error.value)
    assert len(str(error.value)) < 400
    assert not list((tmp_path / "cache" / "fer_lightning").iterdir())


def test_a_damaged_archive_is_explained(root):
    as_archive(root)
    file = root / "fer2013.tar.gz"
    content = file.read_bytes()
    unpacked = bytearray(gzip.decompress(content))
    unpacked[unpacked.index(b" 1") + 1] = ord("2")
    damaged = {
        "cut": content[:-3000],
        "without its last bytes": content[:-4],
        "plain text": table(),
        "empty": b"",
        "one pixel changed": gzip.compress(unpacked)[:-8] + content[-8:],
    }
    for name, data in damaged.items():
        file.write_bytes(data)
        with pytest.raises(DataError, match=r"fer2013\.tar\.gz: the archive is cut or damaged .*Download it again"):
            print(name, fer2013.read(root, accept_modified=True))
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("fer2013/train.csv"))
    with pytest.raises(DataError, match=r"fer2013\.tar\.gz: the archive holds no fer2013\.csv"):
        fer2013.read(root)


def test_a_damaged_row_inside_the_archive_is_named(root):
    with tarfile.open(root / "fer2013.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("fer2013/fer2013.csv")
        member.size = len(with_pixel("256"))
        archive.addfile(member, io.BytesIO(with_pixel("256")))
    with pytest.raises(DataError, match=r"fer2013\.tar\.gz/fer2013/fer2013\.csv, line 22 \(image 21\): pixel 57 is '256'"):
        fer2013.read(root)


def oracle(content):
    """The slow and plain reading of the standard library."""
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    header = [name.strip().lower() for name in next(rows)]
    pixels, labels, usage = [], [], []
    for row in rows:
        if any(cell.strip() for cell in row):
            cells = dict(zip(header, row, strict=True))
            pixels.append([int(value) for value in cells["pixels"].split()])
            labels.append(int(cells["emotion"]))
            usage.append(SPLITS.index(cells["usage"].strip()))
    assert {len(row) for row in pixels} == {2304} and np.min(pixels) >= 0 and np.max(pixels) <= 255 and set(labels) <= set(range(7))
    return np.reshape(pixels, (-1, 1, 48, 48)), labels, usage


SMALL = table(ROWS[i] for i in (0, 30, 50))
EDGES = [i for i, byte in enumerate(SMALL) if byte in b",\n"]
PIECES = [bytes([byte]) for byte in b'0123456789 ,"\n\r\t-.x\0\xff\x0b'] + [b"", b"  ", b"255", b"256", b"\r\n", b"00", b'""', b"\xc2\xa0"]
PLACES = st.one_of(st.integers(0, len(SMALL)), st.builds(lambda edge, off: max(edge + off, 0), st.sampled_from(EDGES), st.integers(-3, 3)))
EDITS = st.lists(st.tuples(PLACES, st.integers(0, 2), st.sampled_from(PIECES)), min_size=1, max_size=3)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, cut=st.one_of(st.none(), PLACES))
def test_a_mutated_table_is_refused_or_read_as_the_standard_library_reads_it(tmp_path, edits, cut):
    content = SMALL[:cut]
    for place, length, piece in edits:
        content = content[:place] + piece + content[place + length :]
    file = tmp_path / "fer2013.csv"
    file.write_bytes(content)
    try:
        parts = list(read_table(file))
    except DataError as error:
        assert str(error).startswith("fer2013.csv")
        return
    for ours, theirs in zip(list(zip(*parts, strict=True))[:3], oracle(content), strict=True):
        np.testing.assert_array_equal(np.concatenate(ours), theirs)


def test_unusual_spacing_is_read_with_care(tmp_path):
    file = tmp_path / "fer2013.csv"
    file.write_text(f"EMOTION , pixels,usage\n 3 , {'  7 ' * 2304} , Training \n\n")
    [(pixels, labels, usage, lossy)] = read_table(file)
    assert (pixels == 7).all() and pixels.shape == (1, 1, 48, 48) and (*labels, *usage, lossy) == (3, 0, False)


def png_of_16_bits(image):
    """A grey image as three colours of two equal bytes each, which Pillow cannot write."""
    rows = np.pad(np.repeat(image, 6, 1), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", 48, 48, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return content


def png_header(width, height):
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("train/happy/Training_999.png", encode(PIXELS[0])[:200], "Training_999.png: the image is damaged"),
        ("train/happy/Training_999.png", b"", "Training_999.png: the image is damaged"),
        ("train/happy/Training_999.jpg", encode(PIXELS[0], "JPEG")[:400], "Training_999.jpg: the image is damaged"),
        ("train/happy/Training_999.png", encode(PIXELS[0][:, :47]), "Training_999.png: the image is 47 x 48; FER-2013 is 48 x 48"),
        ("train/happy/Training_999.png", png_header(9000, 9000), "Training_999.png: the image is 9000 x 9000"),
        ("train/happy/Training_999.png", png_header(60000, 60000), "Training_999.png: the image is damaged (Image size"),
        ("train/happy/Training_999.png", encode(RNG.integers(0, 256, (48, 48, 3), np.uint8)), "Training_999.png: the image has colours"),
        ("train/happy/Training_999.png", encode(PIXELS[0].astype(np.uint16)), "Training_999.png: the image is of kind I;16"),
        ("train/happy/Training_999.png", png_of_16_bits(PIXELS[0]), "the image is of kind RGB with 16 bits; FER-2013 is grey with 8 bits"),
        ("train/happy/Training_999.gif", encode(PIXELS[0], "GIF"), "Training_999.gif: not a jpg or png"),
        ("train/happy/999.png", encode(PIXELS[0]), "999.png: the name lacks the prefix Training_, PublicTest_, PrivateTest_"),
        ("train/hapyp/Training_999.png", encode(PIXELS[0]), "train/hapyp: there is no class 'hapyp'. Did you mean happy?"),
        ("train/contempt/Training_999.png", encode(PIXELS[0]), "no class 'contempt'. There are: angry, disgust"),
    ],
)
def test_a_wrong_image_is_named(root, place, content, message):
    as_folders(root)
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_bytes(content)
    with pytest.raises(DataError) as error:
        fer2013.read(root)
    assert message in str(error.value)


def test_folders_without_images_are_refused(root):
    (root / "train" / "happy").mkdir(parents=True)
    with pytest.raises(DataError, match="the folders hold no images"):
        fer2013.read(root)


def test_nothing_found_says_where_and_what_to_do(tmp_path):
    with pytest.raises(DataError) as error:
        fer2013.read(tmp_path / "nowhere")
    for part in (str(tmp_path / "nowhere"), "Kaggle", "msambare/fer2013", "Aaryan333", "FER2013_ROOT", "data.root=", "data=synthetic"):
        assert part in str(error.value)
    (tmp_path / "fer2013.zip").touch()
    with pytest.raises(DataError, match=r"fer2013\.zip: not a \.csv, \.tar\.gz or \.parquet file"):
        fer2013.read(tmp_path / "fer2013.zip")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["fer20131.csv"], "What lies there: fer20131.csv. If fer20131.csv is the data, set FER2013_ROOT={root}/fer20131.csv."),
        (["notes.txt", "FER2013.CSV"], "What lies there: FER2013.CSV, notes.txt. If FER2013.CSV is"),
        (["fer2013 (1).csv"], "set FER2013_ROOT='{root}/fer2013 (1).csv'."),
        (["fer2013/archive.zip"], "What lies there: archive.zip, fer2013/. Unpack archive.zip first."),
        (["fer2013new.csv", "train/1.jpg"], "What lies there: fer2013new.csv, train/.\nLooked for fer2013.csv"),
        ([f"{k}.txt" for k in range(12)], "6.txt, 3 more.\n"),
    ],
)
def test_near_names_are_named(root, names, said):
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(table())
    with pytest.raises(DataError) as error:
        fer2013.read(root)
    assert said.format(root=root) in str(error.value)


def test_a_file_is_read_whatever_the_case_of_its_suffix(root, published):
    (root / "FER.CSV").write_bytes(table())
    check(fer2013.read(root / "FER.CSV"))


def python(*arguments, **environment):
    repository = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, *arguments], cwd=repository, env=os.environ | environment, stdout=subprocess.PIPE, text=True)


def test_the_command_says_whether_there_is_a_copy(root):
    empty = python("-m", "fer_lightning.data.fer2013", str(root))
    as_csv(root / "..")
    by_argument = python("-m", "fer_lightning.data.fer2013", str(root / ".."))
    by_environment = python("-m", "fer_lightning.data.fer2013", FER2013_ROOT=str(root / ".."))
    assert [p.communicate()[0] for p in (empty, by_argument, by_environment)] == ["synthetic\n", "fer2013\n", "fer2013\n"]


def test_reading_imports_nothing_heavy():
    code = "import sys, fer_lightning.data.fer2013; print(*{'torch', 'pandas', 'pyarrow', 'PIL', 'lightning'} & set(sys.modules))"
    assert python("-c", code).communicate()[0].strip() == ""


def same(a, b):
    assert (a.source, a.verdict, a.fingerprint) == (b.source, b.verdict, b.fingerprint)
    for name in ("pixels", "labels", "usage"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype


def no_making(monkeypatch):
    monkeypatch.setattr(cache, "_make", lambda *_: pytest.fail("the files were read again"))


def test_the_second_read_comes_from_the_cache_and_is_the_same(root, monkeypatch):
    import torch

    as_csv(root)
    first = fer2013.read(root, accept_modified=True)
    no_making(monkeypatch)
    monkeypatch.setattr(cache, "_content", lambda *_: pytest.fail("the files were hashed again"))
    second = fer2013.read(root, accept_modified=True)
    same(first, second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(second.pixels)[0] = 0
    check(fer2013.read(root, accept_modified=True))
    with pytest.raises(DataError, match="not the published"):
        fer2013.read(root)


def test_a_touched_or_moved_file_is_hashed_but_not_read(root, tmp_path, monkeypatch):
    as_csv(root)
    fer2013.read(root, accept_modified=True)
    no_making(monkeypatch)
    os.utime(root / "fer2013.csv", (1, 1))
    check(fer2013.read(root, accept_modified=True))
    root.rename(tmp_path / "moved")
    check(fer2013.read(tmp_path / "moved", accept_modified=True))


def test_changed_content_is_read_again(root):
    as_folders(root)
    fer2013.read(root, accept_modified=True)
    file = root / "train" / CLASSES[LABELS[0]] / "Training_0.png"
    file.write_bytes(encode(255 - PIXELS[0]))
    changed = fer2013.read(root, accept_modified=True)
    np.testing.assert_array_equal(changed.pixels[0, 0], 255 - PIXELS[0])
    file.rename(root / "train" / CLASSES[(LABELS[0] + 1) % 7] / file.name)
    assert fer2013.read(root, accept_modified=True).labels[0] == (LABELS[0] + 1) % 7


@pytest.mark.parametrize("suffix", [".npy", ".json", ".link"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-100],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: data[: len(data) // 2] + bytes(8) + data[len(data) // 2 + 8 :],
        lambda data: b"\xff" * len(data),
        None,
    ],
)
def test_a_damaged_entry_is_made_again(root, tmp_path, suffix, damage):
    as_csv(root)
    first = fer2013.read(root, accept_modified=True)
    first = type(first)(np.array(first.pixels), *(getattr(first, name) for name in ("labels", "usage", "source", "verdict", "fingerprint")))
    [file] = (tmp_path / "cache" / "fer_lightning").glob(f"*{suffix}")
    if damage:
        file.write_bytes(damage(file.read_bytes()))
    else:
        file.unlink()
    same(first, fer2013.read(root, accept_modified=True))
    same(first, fer2013.read(root, accept_modified=True))


def test_without_a_writable_cache_the_images_stay_in_memory(root, tmp_path, caplog):
    as_csv(root)
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        faces = fer2013.read(root, tmp_path / "file" / "cache", accept_modified=True)
    check(faces)
    assert faces.pixels.flags.writeable and "cannot be cached" in caplog.text
    same(faces, fer2013.read(root, accept_modified=True))


def test_a_full_disk_leaves_no_rest_and_reads_into_memory(root, tmp_path, caplog, monkeypatch):
    as_csv(root)

    def full(batches, stream, copy=cache._copy):
        if not isinstance(stream, io.BytesIO):
            stream.write(b"some")
            raise OSError(28, "No space left on device")
        return copy(batches, stream)

    monkeypatch.setattr(cache, "_copy", full)
    check(fer2013.read(root, accept_modified=True))
    assert "No space left" in caplog.text
    assert not list((tmp_path / "cache" / "fer_lightning").iterdir())


def test_a_file_that_grows_while_it_is_read_is_refused(root, monkeypatch):
    as_csv(root)

    def growing(batches, stream, copy=cache._copy):
        result = copy(batches, stream)
        with open(root / "fer2013.csv", "ab") as file:
            file.write(line(0))
        return result

    monkeypatch.setattr(cache, "_copy", growing)
    with pytest.raises(DataError, match="changed while they were read"):
        fer2013.read(root, accept_modified=True)


def replace(path, content):
    path.write_bytes(content)


def rename(path, content):
    path.rename(path.with_suffix(".away"))
    path.write_bytes(content)


def rename_back(path, content):
    path.with_suffix(".away").replace(path)


def link(path, content):
    other = path.with_suffix(f".{zlib.crc32(content)}")
    other.write_bytes(content)
    path.unlink(missing_ok=True)
    path.symlink_to(other)


@pytest.mark.parametrize("change, undo", [(replace, replace), (rename, rename_back), (link, link)])
def test_a_file_that_is_another_one_while_it_is_read_leaves_no_entry(root, tmp_path, monkeypatch, change, undo):
    """Somebody puts another file there after the hash, and the first one back: an entry would be named after one and hold the other."""
    path = root / "fer2013.csv"
    first = table()
    other = table([(label, " ".join(map(str, 255 - image.ravel())), usage) for (label, _, usage), image in zip(ROWS, PIXELS, strict=True)])
    change(path, first) if change is link else path.write_bytes(first)
    content = cache._content

    def hashed(*args):
        key = content(*args)
        change(path, other)
        return key

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_content", hashed)
        patch.setattr(csv_reader, "read_lines", _undoing(csv_reader.read_lines, lambda: undo(path, first)))
        with pytest.raises(DataError, match="changed while they were read"):
            fer2013.read(root, accept_modified=True)
    assert not list((tmp_path / "cache" / "fer_lightning").iterdir())
    check(fer2013.read(root, accept_modified=True))


def _undoing(read_lines, undo):
    """A reader of lines that has something done after the last one."""

    def read(stream):
        yield from read_lines(stream)
        undo()

    return read


def test_a_half_written_entry_of_long_ago_goes_and_one_of_now_stays(root, tmp_path):
    as_csv(root)
    folder = tmp_path / "cache" / "fer_lightning"
    folder.mkdir(parents=True)
    names = (f".{'0a' * 16}.npy.{'1b' * 16}", f".{'0c' * 16}.npy.0123abcd.tmp", ".mine.npy.0123abcd.tmp")
    old, new, theirs = (folder / name for name in names)
    for file in (old, new, theirs):
        file.touch()
    for file in (old, theirs):
        os.utime(file, (1, 1))
    fer2013.read(root, accept_modified=True)
    assert not old.exists() and new.exists() and theirs.exists()


def test_processes_may_read_at_once(root, tmp_path):
    as_csv(root)
    code = f"from fer_lightning.data.fer2013 import read; print(read({str(root)!r}, accept_modified=True).fingerprint)"
    answers = {process.communicate()[0] for process in [python("-c", code) for _ in range(4)]}
    assert answers == {f"{verdict.fingerprint(PIXELS, LABELS, USAGE)}\n"}
    assert {file.suffix for file in (tmp_path / "cache" / "fer_lightning").iterdir()} == {".npy", ".json", ".link"}
