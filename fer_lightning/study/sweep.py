"""What a job needs to know of the sweep it belongs to. It travels in an environment variable, so it reaches jobs in other processes."""

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "FER_LIGHTNING_SWEEP"

# Below the folder of a sweep: what its jobs share while it lasts.
SHARED = ".features"


@dataclass(frozen=True)
class Sweep:
    """study:   its name, also the name of its folder and of its group in W&B
    axes:    the swept keys
    jobs:    how many jobs there are, None where the sweeper decides as it goes
    shares:  whether jobs may differ behind the backbone only, so that a frozen one is asked once for all of them
    started: seconds since the epoch
    folder:  of the study
    """

    study: str
    axes: list
    jobs: int | None
    shares: bool
    started: float
    folder: str | None = None


def announce(sweep):
    os.environ[VARIABLE] = json.dumps(asdict(sweep))


def current():
    """The sweep this process works for, or None in a single run."""
    text = os.environ.get(VARIABLE)
    return Sweep(**json.loads(text)) if text else None


def withdraw():
    os.environ.pop(VARIABLE, None)
