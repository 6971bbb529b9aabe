"""study.json: the command of a study, its axes, its jobs, the settings they share; written before the first job."""

import json
from pathlib import Path

from fer_lightning.process.errors import DataError
from fer_lightning.process.files import replace_file
from fer_lightning.safety.json_shape import NUMBER, SCALAR, TEXT, Each, check_shape
from fer_lightning.safety.untrusted_files import read_json

LEDGER = "study.json"

SCHEMA = 1

SHAPE = {
    "axes": Each(str, list),
    "jobs": Each(Each(str, list), list),
    "command": Each(str, list),
    "shipped": Each(TEXT),
    "study": {
        **dict.fromkeys(("name", "question", "cost", "paper", "protocol"), TEXT),
        "images": NUMBER,
        "published": Each({"cell": Each(SCALAR), "row": TEXT, "per_class": Each((*SCALAR, dict))}, list),
        "doubts": Each(str, list),
        "analysis": Each((*SCALAR, dict)),
    },
}

# What holds if the file says nothing of it. Null in the file is the same.
DEFAULTS = {"axes": [], "jobs": None, "base": {}, "command": None, "shipped": {}, "study": {}}
STUDY_DEFAULTS = {
    **{"name": "", "question": "", "paper": None, "protocol": None, "images": None},
    **{"published": [], "doubts": [], "analysis": {}},
}
PUBLISHED_DEFAULTS = {"cell": {}, "row": ""}


def write_ledger(folder, ledger):
    """Replace study.json. ledger: {study, axes, jobs, base, command, shipped}"""
    replace_file(Path(folder) / LEDGER, json.dumps({"schema": SCHEMA} | ledger, indent=1) + "\n")


def read_ledger(folder):
    """What study.json holds, with defaults for what it lacks. None if there is none, as for run folders gathered by hand.

    DataError if it is damaged.
    """
    path = Path(folder) / LEDGER
    try:
        ledger = read_json(path)
        check_shape(ledger, SHAPE)
        ledger["jobs"], ledger["axes"]
        images = (ledger.get("study") or {}).get("images")
        if images is not None and images < 1:
            raise ValueError(f"study.images is {images}")
        return with_defaults(ledger)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error}). Remove it: the same command of the sweep writes it again.") from error


def with_defaults(ledger):
    """A ledger with defaults for what it lacks; of {} all of them."""
    ledger = _filled(ledger, DEFAULTS)
    study = _filled(ledger["study"], STUDY_DEFAULTS)
    published = [_filled(entry, PUBLISHED_DEFAULTS) for entry in study["published"]]
    return ledger | {"study": study | {"published": published}}


def _filled(node, defaults):
    return defaults | {key: value for key, value in node.items() if value is not None or key not in defaults}
