"""The name of a cell: the values of its swept keys. Run folders, W&B and reports call a cell by the same name."""

import hashlib
import math
import re

from fer_lightning.config.groups import is_group

LONGEST_NAME = 120


def level_text(value):
    """The value of a swept key as text. Whole numbers have no point: 1 and 1.0 are one level. NaN is how pandas stores a null."""
    if isinstance(value, float):
        return "None" if math.isnan(value) else f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else str(value)
    return str(value)


def plain_level(value):
    """A level without what may be written in several ways: 0.1, 0.10 and 1e-1 are one value, and so are null and None."""
    text = re.sub(r"[\s'\"]", "", str(value))
    try:
        return level_text(float(text))
    except ValueError:
        return {"true": "True", "false": "False", "null": "None"}.get(text, text)


def written_levels(overrides, axes):
    """{swept key: its plain level} of those that the overrides of a job set to a value of their own, not to another key's."""
    written = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    return {key: plain_level(written[key]) for key in axes if key in written and "${" not in written[key]}


def level_name(key, value, keys=()):
    """A level as part of a name: the option of a config group as it is ("relu"), any other value after the last word of its key ("lr0.1").

    keys: all swept keys. If two of them end in the same word, the full key is written.
    """
    return level_text(value) if is_group(key) else f"{_short(key, keys)}{level_text(value)}"


def cell_name(cell):
    """The name of a cell in a report ("gelu-lr0.1"), empty if no key is swept. cell: {swept key: value}, without the seed."""
    return "-".join(level_name(key, value, cell) for key, value in cell.items())


def folder_name(cell, seed=None):
    """The name of a run's folder: that of its cell and its seed ("gelu-lr0.1-s0"), safe on any file system, of limited length."""
    return safe_name("-".join(filter(None, [cell_name(cell), "" if seed is None else f"s{seed}"])) or "default")


def safe_name(name):
    """A name as the name of a folder."""
    safe = re.sub(r"[^A-Za-z0-9.+_-]", "_", name).lstrip(".")[:LONGEST_NAME]
    if safe == name:
        return name
    # The hash keeps two names apart that became the same by what was replaced or cut off.
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _short(key, keys):
    last = key.rsplit(".", 1)[-1]
    return key if sum(other.rsplit(".", 1)[-1] == last for other in keys) > 1 else last
