"""What names of files, folders, patterns and lists lead to, and which of them are networks."""

import errno
import io
import os
from pathlib import Path

import pytest

from fer_lightning.photos.sources import find_files, split_names
from fer_lightning.process.errors import UserError


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hidden = ("trip/notes.txt", "trip/.hidden.jpg", "trip/.git/d.jpg")
    for name in ("a.jpg", "trip/b.PNG", "trip/deep/c.webp", "trip/clip.MP4", "odd[1].jpg", *hidden):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(*names):
    files, wrong = find_files(names)
    return [str(file) for file in files], wrong


def test_folders_are_searched_below_and_without_what_is_hidden():
    assert found("a.jpg", "trip") == (["a.jpg", "trip/b.PNG", "trip/clip.MP4", "trip/deep/c.webp"], [])
    assert found("trip/notes.txt") == (["trip/notes.txt"], [])  # named: its reader says what is wrong with it


def test_patterns_that_the_shell_has_left_are_filled_in():
    assert found("*.jpg") == (["a.jpg", "odd[1].jpg"], [])
    assert found("trip/**/*.webp", "tr?p") == (["trip/deep/c.webp", "trip/b.PNG", "trip/clip.MP4", "trip/deep/c.webp"], [])
    assert found("odd[1].jpg") == (["odd[1].jpg"], [])  # a file of that name is no pattern


def test_a_list_comes_from_stdin(monkeypatch):
    def listing(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))
        return found("-")

    files = ["a.jpg", "trip/b.PNG", "trip/clip.MP4", "trip/deep/c.webp"]
    assert listing(b"a.jpg\r\n\n  \ntrip\nnone.jpg\n-\n") == (files, ["none.jpg: there is no such file or folder."])
    assert listing(b"") == listing(b"\n\r\n") == ([], ["-: there is no name on stdin."])
    odd = os.fsdecode(b"caf\xe9 \xe2\x80\xa8.jpg")  # not UTF-8, and with what Python takes for the end of a line
    Path(odd).touch()
    assert listing(os.fsencode(odd)) == ([odd], [])


def test_names_that_lead_nowhere_are_named_and_the_rest_is_found():
    os.mkdir("empty")
    files, wrong = found("gone.jpg", "empty", "*.gif", "a.jpg")
    assert files == ["a.jpg"]
    assert wrong == [
        "gone.jpg: there is no such file or folder.",
        "empty: no picture and no video in this folder.",
        "*.gif: no picture fits this pattern.",
    ]


def test_what_may_not_be_read_is_named_and_the_rest_is_found(monkeypatch):
    endless = "a" * 300 + ".jpg"
    assert found(endless, "nul\0.jpg", "a.jpg") == (["a.jpg"], [f"{endless}: File name too long.", "nul\0.jpg: embedded null byte."])
    assert split_names(["trip", endless]) == ([], ["trip", endless])

    real = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found("trip") == (["trip/b.PNG", "trip/clip.MP4"], ["trip/deep: Permission denied."])
    assert split_names(["trip/deep", "a.jpg"]) == ([], ["trip/deep", "a.jpg"])


def test_networks_come_first():
    for name in ("run/result.json", "out/model.onnx", "study/study.json", "by_hand/run/result.json"):
        Path(name).parent.mkdir(parents=True)
        Path(name).touch()
    names = ["run", "out", "study", "by_hand", "some.onnx"]
    assert split_names([*names, "a.jpg", "trip"]) == ([Path(name) for name in names], ["a.jpg", "trip"])
    assert split_names(["trip"]) == ([], ["trip"])
    with pytest.raises(UserError, match="run is a run, an export or a study: name it before the pictures"):
        split_names(["a.jpg", "run"])


def test_a_mistyped_run_does_not_pass_for_a_picture():
    os.mkdir("outputs")
    with pytest.raises(UserError, match="outputs holds no finished run, no export, no study and no picture"):
        split_names(["outputs", "a.jpg"])
    with pytest.raises(UserError, match="multirun/acts/gelu-lr0.1-s0: there is no such run"):
        split_names(["multirun/acts/gelu-lr0.1-s0", "a.jpg"])
    with pytest.raises(UserError, match="outputs/tpyo: there is no such run, picture or folder"):
        split_names(["outputs/tpyo", "a.jpg"])
