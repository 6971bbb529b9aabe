"""Files written whole or not at all: to a temporary file beside the target, then renamed."""

import os
from contextlib import contextmanager, suppress

from fer_lightning.process.errors import UserError


@contextmanager
def replacing(path):
    """A path to write to. What was written is then at `path`, whole, and not at all where writing failed."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def replace_file(path, text):
    """Write a text file so that a reader, or a crash, sees the old one or the new one, never a part."""
    with replacing(path) as part, open(part, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def check_writable(path):
    """UserError where a file that is to be written at the end of some work cannot be; asked before the work starts."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UserError(f"{path} cannot be written: {'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}.")
