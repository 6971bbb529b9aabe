"""Bounded reading of files that may come from anyone: only regular files, no links, small, and not deeply nested.

Everything here raises ValueError with the reason. A damaged file of the user's own is treated in the same way.
"""

import json
import os
import stat
from contextlib import contextmanager

import yaml

from fer_lightning.process.visible import visible

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times faster, if PyYAML was built with it

# A result.json has 10 KB, a config 5, a study.json of 1,000 jobs 200, metrics.csv 1 per epoch.
LARGEST = 64_000_000

# Limits of a YAML file. Longer ones take minutes; ours are nested 8 deep at most.
LONGEST = 2_000_000
DEEPEST = 50


def check_file(path, largest=LARGEST):
    """ValueError unless `path` is a regular file, not a link, of at most `largest` bytes. OSError if it does not exist.

    Reading a pipe or a device such as /dev/zero may never end, and a link would show a file from elsewhere.
    """
    about = os.lstat(path)
    if stat.S_ISLNK(about.st_mode):
        raise ValueError("it is a link, which is not followed")
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is not a regular file")
    if about.st_size > largest:
        raise ValueError(f"it has {about.st_size:,} bytes, more than {largest:,}")


def check_own(path):
    """The path of a file in a folder of a run's own, such as .hydra/config.yaml. ValueError if the folder or the file is a link."""
    if os.path.islink(os.path.dirname(path)) or os.path.islink(path):
        raise ValueError("it is, or lies behind, a link, which is not followed")
    return path


def links_in(folder):
    """The links directly in a folder, in the order of their names."""
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_symlink()) if os.path.isdir(folder) else []


def read_text(path, largest=LARGEST):
    check_file(path, largest)
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_json(path):
    try:
        return _visible(json.loads(read_text(path)))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_yaml(path):
    """What `parse_yaml` makes of a file."""
    return parse_yaml(read_text(path, LONGEST))


def parse_yaml(text):
    """Plain containers. Aliases are refused: a few lines of them expand to more than any memory, and Hydra writes none."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError("it is nested too deeply")
        return _visible(yaml.load(text, Loader=LOADER))
    except ValueError:
        raise
    except Exception as error:  # some constructors of PyYAML raise TypeError and others
        if "nesting depth" in str(error):  # its own limit, from 6.0.4
            raise ValueError("it is nested too deeply") from None
        raise ValueError(" ".join(str(error).split())) from error


def _visible(node):
    """Plain containers with the control characters of their texts written out: they are shown on screens and in reports."""
    if isinstance(node, dict):
        return {_visible(name): _visible(child) for name, child in node.items()}
    if isinstance(node, list):
        return [_visible(child) for child in node]
    return visible(node) if isinstance(node, str) else node


def read_parquet(path, choose, most_rows):
    """A pyarrow Table. choose: from {column: type} to the names of the columns to read; what it raises is the reason."""
    from pyarrow import parquet

    check_file(path)
    with only_value_errors(), parquet.ParquetFile(path) as file:
        if file.metadata.num_rows > most_rows:
            raise ValueError(f"it says it has {file.metadata.num_rows:,} rows")
        names = choose({field.name: field.type for field in file.schema_arrow})
        # What the file says of pandas names the classes that pandas is to build.
        return file.read(names).replace_schema_metadata(None)


@contextmanager
def only_value_errors():
    """Whatever a damaged file makes a library raise, and there is no end to it, becomes a ValueError of one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:300] or type(error).__name__) from error
