"""The configs of a study side by side: what differs between its cells, and what all have in common."""

import pandas as pd

from fer_lightning.config.identity import leaves
from fer_lightning.runs.config_files import CONFIG, read_settings

# Where results go and how the study is described, not what is trained; the seed repeats a cell.
LEFT_OUT = ("study", "logger", "seed")


def read_configs(study):
    """A row a cell, a column a dotted key, as text: as written, references unresolved. Configs that cannot be read go to `missing`."""
    rows = {}
    for name, label in zip(study.jobs["name"], study.labels):
        try:
            settings = read_settings(study.folder / name)
        except (OSError, ValueError) as error:
            study.lacks(name, CONFIG, error)
            continue
        flat = {key: _text(value) for key, value in leaves(settings) if key.split(".")[0] not in LEFT_OUT}
        rows.setdefault(label, []).append(flat)
    return pd.DataFrame.from_dict({label: _joined(flats) for label, flats in rows.items()}, orient="index").fillna("")


def split_common(configs):
    """(the columns that differ between cells, {key: value} of those that do not)"""
    differs = [key for key in configs if configs[key].nunique() > 1]
    common = {key: configs[key].iloc[0] for key in configs if key not in differs}
    return configs[differs], common


def _joined(flats):
    """One config for the runs of a cell, with all values of a key in which they differ."""
    keys = dict.fromkeys(key for flat in flats for key in flat)
    return {key: " / ".join(dict.fromkeys(flat.get(key, "") for flat in flats)) for key in keys}


def _text(value):
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
