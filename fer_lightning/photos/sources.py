"""Which files a user means: names, folders, patterns, a list on stdin."""

import glob
import os
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
        if os.path.isdir(first) and _below(first) == ([], []):
            raise UserError(f"{first} holds no finished run, no export, no study and no picture.")
        if not (os.path.exists(first) or first.suffix.lower() in SUFFIXES + VIDEOS or rest[0] == "-" or glob.has_magic(rest[0])):
            raise UserError(f"{first}: there is no such run, picture or folder.")
    return networks, rest


def find_files(names: Iterable[str]) -> tuple[list[Path], list[str]]:
    """(files, sentences on what cannot be read). Of a folder: the pictures and videos in it and below it, without hidden ones.

    names: of files, of folders, patterns such as `*.jpg` that the shell has left, `-` for a list of names on stdin, one a line
    """
    files, wrong = [], []
    for name in names:
        found, sentences = _listed() if name == "-" else _meant_by(name)
        files += found
        wrong += sentences
    return files, wrong


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _listed():
    lines = map(os.fsdecode, sys.stdin.buffer.read().splitlines())  # as a name on the command line is decoded
    names = [name for name in lines if name.strip() not in ("", "-")]
    return find_files(names) if names else ([], ["-: there is no name on stdin."])


def _meant_by(name):
    try:
        os.stat(name)
    except (OSError, ValueError) as error:
        if glob.has_magic(name) and not os.path.lexists(name):
            matches = sorted(glob.glob(name, recursive=True))
            return find_files(matches) if matches else ([], [f"{name}: no picture fits this pattern."])
        missing = isinstance(error, FileNotFoundError)
        return [], [f"{name}: {'there is no such file or folder' if missing else getattr(error, 'strerror', error)}."]
    if not os.path.isdir(name):
        return [Path(name)], []
    files, wrong = _below(name)
    return files, wrong if files or wrong else [f"{name}: no picture and no video in this folder."]


def _below(folder):
    """(the pictures and videos in and below a folder, without hidden ones; sentences on the folders in it that cannot be read)"""
    files, wrong = [], []
    for place, folders, names in os.walk(folder, onerror=lambda error: wrong.append(f"{error.filename}: {error.strerror}.")):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in files if path.suffix.lower() in SUFFIXES + VIDEOS), wrong
