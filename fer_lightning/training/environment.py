"""Where and with what a job runs: device, threads, host, package versions, commit."""

import os
import platform
import socket
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch

from fer_lightning.process import ranks
from fer_lightning.runs.result import now

PACKAGES = ("fer_lightning", "torch", "lightning", "hydra-core", "timm", "transformers", "torchmetrics", "numpy")


def environment():
    """{name: value} for result.json. device: the GPU or CPU; threads: of this process; started: now; git: the commit of the code."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "processes": ranks.count(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "git": _git_commit(),
        "started": now(),
    }


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache  # the commit of the loaded code, even if the checkout changes while a sweep runs
def _git_commit():
    """The commit of the checkout that the package runs from; None for an installed package."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
