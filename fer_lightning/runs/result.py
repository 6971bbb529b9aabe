"""result.json: what is known of a run, read with type checks, written atomically."""

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path

from fer_lightning.process.files import replace_file
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import RESULT
from fer_lightning.safety.json_shape import RESULT_SHAPE, check_shape
from fer_lightning.safety.secrets import mask
from fer_lightning.safety.untrusted_files import read_json

SCHEMA = 1


def read_result(folder):
    """The result.json of a run folder, or None where there is none yet. ValueError where it is damaged, or no file of its own."""
    path = Path(folder) / RESULT
    if not os.path.lexists(path):
        return None
    result = read_json(path)
    check_shape(result, RESULT_SHAPE)
    return result


@first_only
def write_result(folder, result):
    """Replace result.json. Numbers that JSON cannot hold (NaN, infinity) become null, and secrets are masked."""
    replace_file(Path(folder) / RESULT, json.dumps({"schema": SCHEMA} | _plain(result), indent=1, allow_nan=False) + "\n")


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return mask(value) if isinstance(value, str) else value


def now():
    return datetime.now(UTC).isoformat(timespec="seconds")
