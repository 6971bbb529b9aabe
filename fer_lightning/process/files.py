"""Files that are written completely or not at all: to a temporary file beside the target, which then replaces it.

Nothing is written through a link. A temporary file is called `.NAME.<32 hex digits>.tmp`: nobody can guess it and put a link there, and
what a killed process leaves can be told by `TEMPORARY`.
"""

import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from uuid import uuid4

from fer_lightning.process.errors import UserError

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")


@contextmanager
def replacing(path):
    """A temporary path to write to. At the end of the block it replaces `path`; if writing fails, it is removed."""
    # No process id: two containers that share a folder can have the same.
    part = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o666))
        yield part
        os.replace(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        # A full disk does not say which file was too large for it, and nobody knows the temporary one.
        if isinstance(error, OSError) and error.filename in (None, str(part)):
            error.filename = str(path)
        raise


@contextmanager
def replacing_together(folder, names):
    """A temporary folder to write to. At the end of the block its files replace `names` in `folder`, of which those not written again go.

    If writing fails, nothing changes. Files of two writings are beside each other only while they are renamed, in the order of `names`.
    """
    folder = folder.absolute()
    part = folder.with_name(f".{folder.name}.{uuid4().hex}.tmp")
    part.mkdir(parents=True)
    try:
        yield part
        folder.mkdir(exist_ok=True)
        for name in names:
            if (part / name).exists():
                os.replace(part / name, folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def replace_file(path, text):
    """Write a text file so that a reader, or a crash, sees the old one or the new one, never a part."""
    with replacing(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path):
    """Make a folder of ours below one that may come from anyone. UserError if a link is in its place, through which files would go."""
    if path.is_symlink():
        raise UserError(f"{path} is a link, which is not followed: remove it.")
    path.mkdir(parents=True, exist_ok=True)
    _check_access(path)


def check_writable(path):
    """UserError if a file cannot be written, or is a link or device that it would replace. Called before the work that it will hold."""
    folder = path.absolute().parent
    if os.path.isdir(path):
        reason = "it is a folder"
    elif not os.path.isdir(folder):
        reason = f"there is no folder {path.parent}"
    elif os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        reason = "it is a link, a pipe or a device, which would be replaced"
    else:
        return _check_access(path.parent)
    raise UserError(f"{path} cannot be written: {reason}.")


def _check_access(folder):
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"You may not write to the folder {folder}: choose another one.")
