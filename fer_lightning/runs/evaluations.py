"""evaluation-ID.json in a run folder: how a finished run scores on other data, or on another part of its own."""

import re
from pathlib import Path

from fer_lightning.process.files import replace_file
from fer_lightning.runs.result import METRICS_SHAPE, as_text
from fer_lightning.safety.json_shape import NUMBER, SCALAR, TEXT, Each, check_shape
from fer_lightning.safety.untrusted_files import read_json

FILE = re.compile(r"evaluation-[0-9a-f]{8}\.json")

SHAPE = {
    "job": TEXT,
    "data": {
        **dict.fromkeys(("source", "verdict", "part"), TEXT),
        "fingerprint": Each(TEXT),
        "labels": Each(TEXT),
        "counts": Each(int),
    },
    "classes": Each(str, list),
    "metrics": METRICS_SHAPE,
    "intervals": Each(Each((int, float), list)),
    "environment": Each(SCALAR),
    "seconds": NUMBER,
}


def write_evaluation(folder, identity, record):
    """Write the record beside result.json; the same evaluation again replaces it. Returns its path."""
    path = evaluation_file(folder, identity)
    replace_file(path, as_text(record))
    return path


def evaluation_file(folder, identity):
    return Path(folder) / f"evaluation-{identity[:8]}.json"


def read_evaluations(folder):
    """({file: record}, {file: why it cannot be read}) of a run folder, whose files may come from anyone."""
    records, damaged = {}, {}
    for path in sorted(path for path in Path(folder).glob("evaluation-*.json") if FILE.fullmatch(path.name)):
        try:
            record = read_json(path)
            check_shape(record, SHAPE)
            record["data"]["source"], record["data"]["part"], record["metrics"]["n"]
            records[path.name] = record
        except (OSError, ValueError, KeyError, TypeError) as error:
            damaged[path.name] = " ".join(str(error).split())
    return records, damaged
