"""Pictures, run folders and archives from anyone: an answer or one sentence, soon, in little memory, and nothing from elsewhere."""

import csv
import gzip
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.project import TINY, squeeze
from helpers.written_runs import write_grid
from PIL import Image

from fer_lightning import compare, status
from fer_lightning.analysis.report import report
from fer_lightning.data import csv_reader, fer2013
from fer_lightning.data.csv_reader import read_archive
from fer_lightning.data.picture_file import read_picture
from fer_lightning.process.errors import DataError, UserError
from fer_lightning.report import main as report_main
from fer_lightning.runs.predictions import read_predictions
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.safety.spreadsheet import to_csv
from fer_lightning.safety.untrusted_files import read_yaml

# A reading in a process of its own, so that its peak can be told; None where it was no UserError.
MEASURE = """
import resource, sys
from fer_lightning.process.errors import UserError
{imports}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {call}
    print("read")
except UserError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def measured(imports, call, folder):
    """(what was said, peak of the memory in MB above what the imports took) of one call, which must end within 30 s."""
    code = MEASURE.format(imports=imports, call=call)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    *said, peak = done.stdout.splitlines()
    assert len(said) == 1, "one sentence"
    return said[0], int(peak) / 1024


# Pictures


def png(width, height, rows):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compress(bytes((width + 7) // 8 + 1) * rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def many_frames(path, kind):
    frame = Image.new("L", (48, 48), 90)
    frame.save(path, kind, save_all=True, append_images=[Image.new("L", (48, 48), n % 256) for n in range(2000)])


def bomb(path):
    path.write_bytes(png(20_000, 20_000, 20_000))
    assert path.stat().st_size < 60_000


def sparse(path):
    path.touch()
    os.truncate(path, 8_000_000_000)


PICTURES = {
    "bomb.png": (bomb, "pixels"),
    "header.png": (lambda path: path.write_bytes(png(31_623, 31_623, 1)), "pixels"),
    "text.jpg": (lambda path: path.write_text("no picture"), "cannot be read as a picture"),
    "pickle.jpg": (lambda path: path.write_bytes(b"cos\nsystem\n(S'touch executed'\ntR."), "cannot be read as a picture"),
    "empty.jpg": (lambda path: path.write_bytes(b""), "cannot be read as a picture"),
    "folder.jpg": (lambda path: path.mkdir(), "not a regular file"),
    "pipe.jpg": (os.mkfifo, "not a regular file"),
    "device.jpg": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "sparse.jpg": (sparse, "8,000,000,000 bytes"),
    "drawing.svg": (lambda path: path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), "cannot be read"),
    "script.eps": (lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n"), "cannot be read"),
    "disguised.jpg": (lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n"), "cannot be read"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_hostile_picture_is_refused_soon_and_in_little_memory(name, tmp_path):
    make, reason = PICTURES[name]
    make(tmp_path / name)
    said, peak = measured("from fer_lightning.data.picture_file import read_picture", f"read_picture({name!r})", tmp_path)
    assert said.startswith(f"{name}: ") and reason in said and peak < 50
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(("name", "kind"), [("film.gif", "GIF"), ("stack.tiff", "TIFF")])
def test_of_thousands_of_frames_the_first_is_read(name, kind, tmp_path):
    many_frames(tmp_path / name, kind)
    assert set(np.unique(read_picture(tmp_path / name))) == {90}


def test_a_picture_that_is_cut_anywhere_is_refused(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    for length in range(0, len(content) - 2, 97):
        (tmp_path / "cut.jpg").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"cut\.jpg: cannot be read as a picture"):
            read_picture(tmp_path / "cut.jpg")


# Run folders

SCRIPT = '<script>document.title="owned"</script><img src=x onerror=alert(1)>'
LINK = "[here](javascript:alert(1))"


class Tags(HTMLParser):
    """The tags of a page outside its own three scripts, and all that is text to a reader."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def grid(tmp_path):
    """A study of eight cells and two seeds, written by hand."""
    write_grid(tmp_path / "study", np.random.default_rng(0), pictures=60, seeds=2)
    return tmp_path / "study"


def a_run(folder):
    return sorted(path.parent for path in folder.glob("*/result.json"))[0]


def rewrite(folder, change):
    result = read_result(folder)
    change(result)
    write_result(folder, result)


def test_names_and_messages_are_text_in_every_report(grid, capsys):
    first = a_run(grid)
    hostile = f"{SCRIPT} {LINK}\n=HYPERLINK(1)"
    failed = {"status": "failed", "error": {"type": "ValueError", "message": hostile, "traceback": hostile}}
    failed["job"] = {"id": "x", "study": SCRIPT, "cell": {"head.act": SCRIPT, "head.norm": LINK}, "seed": 0, "overrides": [SCRIPT, LINK]}
    (grid / "<b>bold").mkdir()
    write_result(grid / "<b>bold", failed)
    rewrite(first, lambda result: result.update(protocol=SCRIPT, data={"verdict": SCRIPT, "source": LINK}))
    study = {"name": SCRIPT, "question": SCRIPT, "paper": None, "published": [], "doubts": [LINK]}
    ledger = {"study": study, "axes": ["head.act", "head.norm"], "jobs": [[f"head.act={SCRIPT}"]], "base": {}, "command": [SCRIPT]}
    (grid / "study.json").write_text(json.dumps(ledger))
    assert report(grid) == 1
    page = Tags((grid / "report.html").read_text())
    assert SCRIPT in page.text and LINK in page.text
    assert [attributes for tag, attributes in page.tags if any(name.startswith("on") for name in attributes)] == []
    assert [attributes for tag, attributes in page.tags if tag in ("img", "b", "iframe", "link", "a") and "#" not in str(attributes)] == []
    markdown = (grid / "report.md").read_text()
    assert "<" not in markdown and "](" not in markdown
    assert hostile.splitlines()[0][:20] in squeeze(capsys.readouterr().out)
    with open(grid / "results.csv", newline="") as file:
        assert [row for row in csv.reader(file) if any(cell.startswith(("=", "@")) for cell in row)] == []


def test_a_table_holds_no_formula():
    texts = ["=HYPERLINK(1)", "+1+cmd", "-2+3", "@x", "\t=1", "-0.5", "1e-3", "plain", "two\nlines"]
    frame = pd.DataFrame({"name": texts, "score": [-0.5] * len(texts), "=x": texts})
    read = list(csv.reader(io.StringIO(to_csv(frame))))
    assert read[0] == ["name", "score", "'=x"]
    assert [row[0] for row in read[1:]] == [f"'{text}" for text in texts[:5]] + texts[5:]
    assert {row[1] for row in read[1:]} == {"-0.5"}


def nested(depth):
    return "[" * depth + "]" * depth


DONE = '{"status": "done", "job": {"cell": {}, "seed": 0}'

RESULTS = {
    "no JSON": lambda path: path.write_text("{"),
    "nested": lambda path: path.write_text(nested(100_000)),
    "a list": lambda path: path.write_text("[]"),
    "no job": lambda path: path.write_text('{"status": "done"}'),
    "job is text": lambda path: path.write_text('{"status": "done", "job": "x"}'),
    "scores are text": lambda path: path.write_text(DONE + ', "metrics": {"val": {"accuracy": "x"}}}'),
    "an accuracy of 5": lambda path: path.write_text(DONE + ', "metrics": {"test": {"accuracy": 5}}}'),
    "half an image": lambda path: path.write_text(DONE + ', "metrics": {"test": {"accuracy": 0.5, "n": 0.5}}}'),
    "a huge number": lambda path: path.write_text(DONE.replace("0", "1" + "0" * 5000) + "}"),
    "infinite": lambda path: path.write_text(DONE + ', "time": {"total_s": 1e999}}'),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\0"),
    "a link": lambda path: path.symlink_to(secret(path)),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "8 GB": sparse,
}


def secret(path):
    """A right result.json elsewhere, whose words must not turn up."""
    (path.parents[2] / "elsewhere").mkdir()
    job = {"id": "x", "study": "s", "cell": {"head.act": "gelu", "head.norm": "bn"}, "seed": 0, "overrides": []}
    write_result(path.parents[2] / "elsewhere", {"status": "failed", "job": job, "error": {"message": "top secret"}})
    return path.parents[2] / "elsewhere" / "result.json"


@pytest.mark.parametrize("kind", RESULTS)
def test_a_hostile_result_is_named_and_the_rest_is_shown(grid, kind, command):
    victim = a_run(grid)
    (victim / "result.json").unlink()
    RESULTS[kind](victim / "result.json")
    report(grid)
    text = (grid / "report.md").read_text()
    assert f"{victim.name}/result.json is damaged." in text and "15 of 15 jobs done" in text and "top secret" not in text
    shown = command(str(grid), main=status.main)
    assert shown.code == 0 and "Traceback" not in shown.text and "top secret" not in shown.text
    assert f"unreadable: {victim.name}" in shown.text
    one = command(str(victim), str(victim), main=compare.main)
    assert one.code == 1 and len(one.text.strip().splitlines()) == 1 and "top secret" not in one.text


@pytest.mark.parametrize("kind", ["no JSON", "nested", "a list", "a pipe", "8 GB", "a link"])
def test_a_hostile_study_is_one_sentence(grid, kind, command):
    (grid / "run").mkdir()
    (grid / "study.json").unlink(missing_ok=True)
    if kind == "a link":
        (grid / "study.json").symlink_to("/etc/passwd")
    else:
        RESULTS[kind](grid / "study.json")
    for main in (status.main, report_main):
        done = command(str(grid), main=main)
        assert done.code == 1 and "study.json is damaged" in done.text and len(done.text.strip().splitlines()) == 1


def frame(**changes):
    rows = np.arange(7)
    columns = {"row": rows, "split": ["test"] * 7, "label": rows % 7} | {f"p{c}": np.full(7, 1 / 7) for c in range(7)}
    return {key: value for key, value in (columns | changes).items() if value is not None}


PREDICTIONS = {
    "no column": frame(label=None),
    "no class": frame(**{f"p{c}": None for c in range(7)}),
    "text": frame(p3=["x"] * 7),
    "nested": frame(p3=[[1.0]] * 7),
    "labels beyond": frame(label=[9] * 7),
    "rows below 0": frame(row=[-1] * 7),
    "a row of 10^12": frame(row=[*range(6), 10**12]),
    "an image twice": frame(row=[0] * 7),
    "infinite": frame(p0=[np.inf] * 7),
    "negative": frame(p0=[-0.5] * 7),
    "empty cells": frame(label=[None, 1, 2, 3, 4, 5, 6]),
}


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_hostile_predictions_are_refused(kind, tmp_path):
    pq.write_table(pa.table(PREDICTIONS[kind]), tmp_path / "predictions.parquet")
    with pytest.raises(ValueError):
        read_predictions(tmp_path)


def test_what_a_table_says_of_pandas_is_not_believed(tmp_path):
    table = pa.table(frame()).replace_schema_metadata({"pandas": '{"index_columns": ["x"], "columns": [{"name": {"a": 1}}], "x": 1e999'})
    pq.write_table(table, tmp_path / "predictions.parquet")
    assert list(read_predictions(tmp_path)) == list(frame())


def test_a_report_goes_on_without_damaged_tables_and_curves(grid, tmp_path):
    victim = a_run(grid)
    for path in grid.glob("*/predictions.parquet"):
        pq.write_table(pa.table(PREDICTIONS["text"]), path)
    (victim / "metrics.csv").write_text("epoch,val/loss,val/accuracy\n0,nan,inf\n1,x,1e999\n=1,,\n")
    other = sorted(grid.glob("*/result.json"))[3].parent
    (other / "metrics.csv").symlink_to("/dev/zero")
    (other / "saliency.png").symlink_to("/etc/passwd")
    report(grid)
    text = (grid / "report.md").read_text()
    assert "/predictions.parquet is damaged" in text and f"{other.name}/metrics.csv is damaged" in text


def test_a_yaml_that_unfolds_is_refused(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"] + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi")]
    cases = [("\n".join(lines), "aliases"), ("[" * 100_000, "nested too deeply"), ("!!python/object/apply:os.system [x]", "constructor")]
    for content, reason in cases:
        (tmp_path / "config.yaml").write_text(content)
        with pytest.raises(ValueError, match=reason):
            read_yaml(tmp_path / "config.yaml")


# Archives


def archived(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def member(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def test_an_archive_is_not_unpacked_whatever_its_members_are_called(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    others = [
        member("../outside"), member("/tmp/outside-of-fer2013"), member("link", tarfile.SYMTYPE, "/etc"), member("link/outside"),
        member("fer2013.csv", tarfile.SYMTYPE, "/etc/passwd"), member("fer2013.csv", tarfile.LNKTYPE, "../outside"),
        member("fer2013.csv", tarfile.CHRTYPE), member("fer2013.csv", tarfile.FIFOTYPE),
    ]  # fmt: skip
    table = b"emotion,pixels,Usage\nx,1,Training\n"
    archived(inside / "fer2013.tar.gz", *((one, b"") for one in others), (member("../../fer2013.csv"), table))
    with pytest.raises(DataError, match=r"fer2013\.csv, line 2 \(image 1\): emotion is 'x'"):
        list(read_archive(inside / "fer2013.tar.gz"))
    assert list(tmp_path.rglob("*")) == [inside, inside / "fer2013.tar.gz"] and not Path("/tmp/outside-of-fer2013").exists()


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_that_fills_the_memory_is_refused(kind, tmp_path):
    """400 MB of zeros, packed into 400 KB, that tarfile would read as the name or the attributes of the next member."""
    header = member("x", kind)
    header.size = 400_000_000
    with gzip.open(tmp_path / "fer2013.tar.gz", "wb", 1) as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(400):
            stream.write(bytes(1_000_000))
    imports = "from pathlib import Path\nfrom fer_lightning.data.csv_reader import read_archive"
    said, peak = measured(imports, "list(read_archive(Path('fer2013.tar.gz')))", tmp_path)
    assert "a name or attributes of 400,000,000 bytes" in said and peak < 50


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_reader, "LARGEST_ARCHIVE", 5_000_000)
    archived(tmp_path / "fer2013.tar.gz", (member("padding"), bytes(6_000_000)))
    with pytest.raises(DataError, match="unpacks to more than"):
        list(read_archive(tmp_path / "fer2013.tar.gz"))


def test_a_parquet_file_that_unpacks_to_too_much_is_refused(tmp_path):
    """Ten million rows of one image in 20 KB."""
    pictures = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000_000, np.int32)), pa.array([b"x"]))
    pq.write_table(pa.table({"image": pictures, "label": pictures}), tmp_path / "train.parquet")
    assert (tmp_path / "train.parquet").stat().st_size < 50_000
    imports = "from pathlib import Path\nimport pyarrow.parquet\nfrom fer_lightning.data.parquet_reader import read_parquet"
    said, peak = measured(imports, "list(read_parquet([Path('train.parquet')]))", tmp_path)
    assert "10,000,000 rows" in said and peak < 50


@pytest.mark.parametrize("name", ["fer2013.csv", "train/happy/1.png", "train.parquet"])
def test_data_that_are_a_pipe_are_not_waited_for(name, tmp_path):
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(DataError, match="No copy of FER-2013" if name == "fer2013.csv" else "not a regular file"):
        fer2013.read(tmp_path / "data")


def test_the_command_refuses_a_picture_in_one_sentence(process, tmp_path):
    bomb(tmp_path / "bomb.png")
    assert process("fer_lightning", *TINY, "logger=csv", "hydra.run.dir=run").code == 0
    done = process("fer_lightning.predict", "run", "bomb.png")
    assert done.code == 1 and len(done.text.strip().splitlines()) == 2 and "bomb.png: cannot be read" in done.text
