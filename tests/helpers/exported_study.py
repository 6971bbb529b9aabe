"""A study of two cells and two seeds, one of its runs exported, once for all tests that use trained networks on pictures."""

import functools
import logging
import sys

import pytest

from fer_lightning.export import main as export
from fer_lightning.sweep.command import main
from helpers.project import TINY


@functools.cache
def exported_study(root):
    """The folder of the study below `root`; its run relu-s0 has an export without int8."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        arguments = ["-m", "head.act=relu,gelu", "seed=0,1", *TINY, "logger=csv", "hydra.sweep.dir=cells"]
        patch.setattr(sys, "argv", ["fer_lightning", *arguments])
        main()
        logging.shutdown()
        logging.getLogger().handlers.clear()  # Hydra's write to a stream that pytest has closed by the next test
    export([str(root / "cells" / "relu-s0"), "--no-int8"])
    return root / "cells"
