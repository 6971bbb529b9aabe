"""Files that are written completely or not at all: to a temporary file beside the target, which then replaces it."""

import os
from contextlib import contextmanager, suppress
from uuid import uuid4

from fer_lightning.process.errors import UserError


@contextmanager
def replacing(path):
    """A temporary path to write to. At the end of the block it replaces `path`; if writing fails, it is removed."""
    # No process id: two containers that share a folder can have the same.
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield part
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say which file was too large for it
        raise


def replace_file(path, text):
    """Write a text file so that a reader, or a crash, sees the old one or the new one, never a part."""
    with replacing(path) as part, open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def check_writable(path):
    """UserError if a file cannot be written. Called before the work whose result the file will hold."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}.")
