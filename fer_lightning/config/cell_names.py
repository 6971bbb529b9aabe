"""The name of a cell: the values of the swept keys, as run folders, W&B and reports show them."""

import hashlib
import re

LONGEST_NAME = 120


def cell_name(values, groups=()):
    """A folder and run name from the swept keys: options as they are, numbers with their key, the seed last (`relu-bn-lr0.1-s0`).

    values: {key: value}; groups: the keys that are config groups.
    """
    parts = []
    for key, value in values.items():
        if key == "seed":
            parts.append(f"s{value}")
        else:
            parts.append(str(value) if key in groups else f"{_short(key, values)}{value}")
    name = "-".join(parts) or "default"
    safe = re.sub(r"[^A-Za-z0-9.+_-]", "_", name).lstrip(".")[:LONGEST_NAME]
    if safe == name:
        return name
    # Two names must not become one by what was replaced or cut off.
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _short(key, keys):
    """The last word of a key, or all of it where two swept keys end in the same word."""
    last = key.rsplit(".", 1)[-1]
    return key if sum(other.rsplit(".", 1)[-1] == last for other in keys) > 1 else last
