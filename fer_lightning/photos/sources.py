"""Which files a user means: names, folders, patterns, a list on stdin."""

import glob
import sys
from collections.abc import Iterable
from pathlib import Path

from fer_lightning.data.picture_file import SUFFIXES
from fer_lightning.process.errors import UserError
from fer_lightning.shipping.networks import is_network

VIDEOS = (".3gp", ".avi", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")


def split_names(names: list[str]) -> tuple[list[Path], list[str]]:
    """(networks, the rest) of what the user named: networks come first. UserError for a first name that is neither, and a late network."""
    count = next((place for place, name in enumerate(names) if not is_network(Path(name))), len(names))
    networks, rest = [Path(name) for name in names[:count]], names[count:]
    late = next((name for name in rest if is_network(Path(name))), None)
    if late:
        raise UserError(f"{late} is a run, an export or a study: name it before the pictures.")
    if rest and not networks:
        first = Path(rest[0])
        if first.is_dir() and not _below(first):
            raise UserError(f"{first} holds no finished run, no export, no study and no picture.")
        if not (first.exists() or first.suffix.lower() in SUFFIXES + VIDEOS or rest[0] == "-" or glob.has_magic(rest[0])):
            raise UserError(f"{first}: there is no such run, picture or folder.")
    return networks, rest


def find_files(names: Iterable[str]) -> tuple[list[Path], list[str]]:
    """(files, sentences on names that lead to none). Of a folder: the pictures and videos in it and below it, without hidden ones.

    names: of files, of folders, patterns such as `*.jpg` that the shell has left, `-` for a list of names on stdin, one a line
    """
    files, wrong = [], []
    for name in names:
        if name == "-":
            more = find_files(sys.stdin.read().splitlines())
            files, wrong = files + more[0], wrong + more[1]
            continue
        if not name.strip():
            continue
        path = Path(name)
        if path.is_dir():
            found = _below(path)
            sentence = "no picture and no video in this folder"
        elif path.exists() or not glob.has_magic(name):
            found, sentence = [path] * path.exists(), "there is no such file or folder"
        else:
            found = [file for match in sorted(glob.glob(name, recursive=True)) for file in _file_or_below(Path(match))]
            sentence = "no picture fits this pattern"
        files += found
        wrong += [] if found else [f"{name}: {sentence}."]
    return files, wrong


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _file_or_below(path):
    return _below(path) if path.is_dir() else [path]


def _below(folder):
    visible = (path for path in folder.rglob("*") if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in visible if path.suffix.lower() in SUFFIXES + VIDEOS and path.is_file())
