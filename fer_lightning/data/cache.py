"""Cache of a data set's images: read once, then a memory map, found by the sizes and times of the files that they came from."""

import io
import json
import logging
import os
import re
import stat
from dataclasses import replace
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np

from fer_lightning.data.faces import SIZE, SPLITS, Faces
from fer_lightning.data.published_copy import fingerprint, verdict
from fer_lightning.process.errors import DataError
from fer_lightning.process.files import replace_file, replacing
from fer_lightning.runs.layout import remove_left_overs

# Part of every key. Raise it if a reader, the verdict or an entry changes, so that older entries are no longer found.
VERSION = "2"

# What a killed process left half-written goes once it is older than this: reading takes seconds, of a slow disk minutes.
LONGEST_WRITE_S = 3600
WRITTEN = re.compile(r"[0-9a-f]{32}\.(npy|json|link)")

log = logging.getLogger(__name__)


def load(source, files, read, folder=None, *, size=SIZE, **about):
    """The Faces that read(), a reader, makes of `files`; from the cache if their content was read before.

    size: of the images, in pixels; about: classes and parts of the Faces, if they are not those of FER-2013

    Sizes and times of the files give the hash of their content without reading them. That hash names the entry, so an entry is still
    found if the files move or get a new date. A damaged entry is made again. If no entry can be written, the images stay in memory.

    An entry is written only if the files are the same after the reading as before the hash. DataError if they are not.
    """
    folder = Path(folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "fer_lightning"))
    kind = repr((size, about)) if about else ""  # the same files can be read as images of several sizes
    faces = _open(folder, _key(folder / f"{_signature(files, kind)}.link"), source, about)
    if faces:
        return faces
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    log.info("reading %s for the first time: %d files, %.0f MB; single images take a minute", source, len(files), megabytes)
    signature, *_ = before = _identity(files, kind)

    def check():
        if _identity(files, kind) != before:
            raise DataError(f"{source}: the files changed while they were read. Start again when they are complete.")

    key = _content(source, files, kind)
    faces = _open(folder, key, source, about)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not faces:
            faces = _make(folder / f"{key}.npy", source, _checked(read(), check), size=size, **about)
        check()
        link = folder / f"{signature}.link"
        replace_file(link, key)
        remove_left_overs(folder, WRITTEN, before=link.stat().st_mtime - LONGEST_WRITE_S)
    except OSError as error:
        log.warning("%s cannot be cached in %s (%s): every run will read it again", source, folder, error)
    if faces:
        return faces
    memory = io.BytesIO()
    labels, usage, lossy = _copy(_checked(read(), check), memory)
    pixels = np.frombuffer(memory.getbuffer(), np.uint8).reshape(-1, 1, size, size)
    return _judge(pixels, labels, usage, lossy=lossy, source=source, **about)


def _checked(batches, check):
    """The batches of a reader, and then a check, before anything is made of them."""
    yield from batches
    check()


def _signature(files, kind):
    stats = [(os.path.abspath(file), s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for file in files for s in [_stat(file)]]
    return sha256(f"{(VERSION, stats)!r}{kind}".encode()).hexdigest()[:32]


def _identity(files, kind):
    """What changes if a file is written to or replaced, also if it is put back, or if a link on the way to it leads elsewhere."""
    folders = {path for file in files for path in Path(os.path.abspath(file)).parents}
    return _signature(files, kind), [_inode(path) for path in (*files, *sorted(folders))], sorted(map(os.path.realpath, folders))


def _inode(path):
    """Of a link, not of what it leads to; without the time of a folder, which changes with whatever is put into it."""
    s = os.lstat(path)
    return s.st_dev, s.st_ino, 0 if stat.S_ISDIR(s.st_mode) else s.st_ctime_ns


def _stat(file):
    """DataError for a pipe or a device, because reading it may never end."""
    about = os.stat(file)
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{file}: not a regular file. Remove it, or put the data there.")
    return about


def _content(source, files, kind):
    """Names count too, because they give split and class."""
    total = sha256(f"{VERSION}{kind}".encode())
    for file in files:
        with open(file, "rb") as stream:
            line = f"{os.path.relpath(file, source)} {file.name} {file_digest(stream, 'sha256').hexdigest()}\n"
            total.update(os.fsencode(line))  # the bytes of a name that is no UTF-8
    return total.hexdigest()[:32]


def _key(link):
    try:
        key = link.read_text("utf-8")
    except (OSError, ValueError):
        return ""
    return key if re.fullmatch("[0-9a-f]{32}", key) else ""


def _open(folder, key, source, about):
    try:
        entry = json.loads((folder / f"{key}.json").read_bytes())
        labels, usage = (np.array(entry[name], np.int64) for name in ("labels", "usage"))
        # Copy on write, because torch wants memory it may write to.
        pixels = np.load(folder / f"{key}.npy", mmap_mode="c")
        if _checksums(pixels, labels, usage) == entry["checksums"]:
            return Faces(pixels, labels, usage, str(source), entry["verdict"], entry["fingerprint"], **about)
    except Exception as error:  # A damaged file can raise nearly anything; in each case the entry is made again.
        log.debug("no entry %s in %s: %s", key, folder, error)
    return None


def _make(path, source, batches, *, size, **about):
    with replacing(path) as part, open(part, "wb") as stream:
        # The header has spare room for arrays that grow, so the number of images can be written at the end.
        _write_header(stream, 0, size)
        labels, usage, lossy = _copy(batches, stream)
        stream.seek(0)
        _write_header(stream, len(labels), size)
    faces = _judge(np.load(path, mmap_mode="c"), labels, usage, lossy=lossy, source=source, **about)
    entry = {
        "verdict": faces.verdict,
        "fingerprint": faces.fingerprint,
        "checksums": _checksums(faces.pixels, labels, usage),
        "labels": labels.tolist(),
        "usage": usage.tolist(),
    }
    replace_file(path.with_suffix(".json"), json.dumps(entry))
    return faces


def _copy(batches, stream):
    """Writes the pixels of all batches to `stream`, so that only one batch is in memory; returns the labels, the usage and lossy."""
    parts = []
    for pixels, labels, usage, lossy in batches:
        stream.write(np.ascontiguousarray(pixels))
        parts.append((labels, usage, lossy))
    labels, usage, lossy = zip(*parts, strict=True)
    return np.concatenate(labels).astype(np.int64), np.concatenate(usage).astype(np.int64), any(lossy)


def _judge(pixels, labels, usage, *, lossy, source, **about):
    prints = fingerprint(pixels, labels, usage, about.get("parts", SPLITS))
    faces = Faces(pixels, labels, usage, str(source), "unknown", prints, **about)
    return replace(faces, verdict=verdict(faces, lossy))


def _write_header(stream, n, size):
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (n, 1, size, size)})


def _checksums(*arrays):
    """Sums of 64-bit words: they detect blocks of zeros and flipped bits, and take 7 ms for all images (CRC-32 38 ms, SHA-256 60 ms)."""
    return [_checksum(array.reshape(-1).view(np.uint8)) for array in arrays]


def _checksum(values):
    """Of bytes (n,); those behind the last whole word are added one by one."""
    words = len(values) - len(values) % 8
    return int(values[:words].view(np.uint64).sum()) + int(values[words:].sum())
