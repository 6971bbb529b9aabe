"""A run trained by the command, once for all tests of a process that only read it."""

import functools
import logging
import sys

import pytest

from fer_lightning.sweep.command import main
from helpers.project import TINY


@functools.cache
def trained_run(root):
    """The folder of a run below `root`: evaluated on an image and its mirror image, in 32 bits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(sys, "argv", ["fer_lightning", *TINY, "evaluation=flip", "precision=32-true", "logger=csv", "hydra.run.dir=trained"])
        main()
        logging.shutdown()
        logging.getLogger().handlers.clear()  # Hydra's write to a stream that pytest has closed by the next test
    return root / "trained"
