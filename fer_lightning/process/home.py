"""A home folder where there is none: a container with an unknown user id and no HOME. Half of all libraries ask for one and fail."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path


def ensure_home():
    """Let HOME be a folder for the time of this process, and of those that it starts, if no home folder is known."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.mkdtemp(prefix="fer_lightning-home-")
        os.environ.setdefault("LOGNAME", str(os.getuid()))  # torch names a folder after the user
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)
        print("This user has no home folder, so caches last as long as this command: set HOME to keep them.", file=sys.stderr)
