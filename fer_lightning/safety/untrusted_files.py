"""Files that may come from anyone, opened only where they are what they should be: regular, of their own folder, small, and not nested.

Everything here raises ValueError with the reason. A damaged file of one's own looks the same and gets the same answer.
"""

import json
import os
import stat
from contextlib import contextmanager

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times faster, where PyYAML was built with it

# A result.json has 10 KB, a config 5, a study.json of 1,000 jobs 200, metrics.csv 1 an epoch.
LARGEST = 64_000_000

# Of a YAML file. Longer ones take minutes, and none of ours is nested deeper than 8.
LONGEST = 2_000_000
DEEPEST = 50


def check_file(path, largest=LARGEST):
    """ValueError unless `path` is a regular file of its folder, no link, and of at most `largest` bytes. OSError where it is not there.

    A pipe would be waited for without end, a device such as /dev/zero read without end, and a link shown from elsewhere.
    """
    about = os.lstat(path)
    if stat.S_ISLNK(about.st_mode):
        raise ValueError("it is a link, which is not followed")
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("it is no regular file")
    if about.st_size > largest:
        raise ValueError(f"it has {about.st_size:,} bytes, more than {largest:,}")


def read_text(path, largest=LARGEST):
    check_file(path, largest)
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_json(path):
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_yaml(path):
    """Plain containers. No aliases: a few lines of them unfold to more than any memory holds, and Hydra writes none."""
    text = read_text(path, LONGEST)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError("it is nested too deeply")
        return yaml.load(text, Loader=LOADER)
    except ValueError:
        raise
    except Exception as error:  # of PyYAML's constructors, some raise TypeError and the like
        if "nesting depth" in str(error):  # its own limit, from 6.0.4
            raise ValueError("it is nested too deeply") from None
        raise ValueError(" ".join(str(error).split())) from error


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
