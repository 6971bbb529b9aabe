"""Of several processes that train one job, the first one alone writes to the run folder."""

import os
from functools import wraps


def is_first():
    """Of several processes that train one job, the first one alone writes to the run folder."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def first_only(write):
    return wraps(write)(lambda *args, **kwargs: write(*args, **kwargs) if is_first() else None)
