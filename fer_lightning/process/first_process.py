"""If several processes train one job, only the first one writes to the run folder."""

import os
from functools import wraps


def is_first():
    """Whether this is the first process of its job, or the only one."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def first_only(write):
    """Decorates a function that writes: in all processes but the first it does nothing."""
    return wraps(write)(lambda *args, **kwargs: write(*args, **kwargs) if is_first() else None)
