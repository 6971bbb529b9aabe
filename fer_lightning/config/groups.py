"""The config groups: where conf/ is, and which keys are groups."""

from functools import cache
from pathlib import Path

import fer_lightning

_PACKAGE = Path(fer_lightning.__file__).parent

# In a wheel conf/ lies inside the package, in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())


def is_group(key):
    """Whether a swept key chooses an option of a shipped config group: `optimizer`, or `optimizer@phases.tune.optimizer` for one phase."""
    return key.partition("@")[0] in _names()


@cache
def _names():
    return frozenset(path.name for path in CONF.iterdir() if path.is_dir())
