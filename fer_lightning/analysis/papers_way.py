"""Which runs of a study were trained as its paper did: the cells that both have, and what a command changed."""

from fer_lightning.analysis.job_table import axes_of, protocols
from fer_lightning.config.cell_names import level_text
from fer_lightning.config.identity import NOT_TRAINING

# Overrides that change where, how fast or with which draws a run is trained, but not how. The protocol is compared by its name, the data
# by their verdict.
NOT_HOW = (
    *(*NOT_TRAINING, "seed", "hydra", "protocol", "data", "threads"),
    *("precision", "compile", "channels_last", "eval_batch_size", "trainer.devices", "trainer.accelerator", "trainer.strategy"),
)


# Values as they are typed.
TYPED = {"True": "true", "False": "false", "None": "null"}


def typed_by(result):
    """{key: value as text} of the overrides of a run, None for a key that is deleted."""
    overrides = (result.get("job") or {}).get("overrides") or ()
    parts = (override.lstrip("+").partition("=") for override in overrides)
    return {key.lstrip("~"): None if key.startswith("~") else _level(value) for key, _, value in parts}


def _level(text):
    """The value of an override, as `level_text` writes it."""
    for number in (int, float):
        try:
            return level_text(number(text))
        except ValueError:
            pass
    return {"true": "True", "false": "False", "null": "None"}.get(text.lower(), text.strip("'\""))


def cells_of(done, paper, typed):
    """(cell, its runs) for each cell of the study that is one of the paper's: several if the command sweeps further keys.

    An axis that the command narrows to one value is no axis of the study any more; its value is that of the override.
    """
    runs = done
    for key, value in paper.items():
        levels = runs[key].map(level_text) if key in runs else [typed[name].get(key) for name in runs["name"]]
        runs = runs[[level == level_text(value) for level in levels]]
    further = [axis for axis in axes_of(done) if axis not in paper]
    groups = runs.groupby(further, sort=False) if further else [((), runs)]
    return [(paper | dict(zip(further, levels)), group) for levels, group in groups if len(group)]


def changes(typed, cell, shipped):
    """{key: "epochs=2 (paper: 50)"} of what the command of a run sets otherwise than the study's file, which is the paper's way."""
    changed = {}
    for key, value in typed.items():
        harmless = any(key == name or key.startswith(f"{name}.") for name in NOT_HOW) and key != "data.labels"
        if harmless or key in cell or (key in shipped and level_text(shipped[key]) == value):
            continue
        papers = f" (paper: {_typed(shipped[key])})" if key in shipped else ""
        changed[key] = f"{key}={_typed(value)}{papers}" if value is not None else f"without {key}"
    # Of another backbone it does not matter which of its settings are other ones.
    return {key: text for key, text in changed.items() if not (key.startswith("backbone.") and "backbone" in changed)}


def _typed(value):
    return TYPED.get(str(value), value)


def obstacles_of(runs, study):
    """Why the scores of these runs cannot be set beside the paper's, as far as data and protocol are concerned."""
    verdicts, measured = set(runs["verdict"].dropna()), protocols(runs)
    if not verdicts <= {"official", "official-lossy"}:
        yield f"{', '.join(sorted(verdicts))} data"
    if measured != [study["protocol"]]:
        yield f"measured under {', '.join(measured)}, published under {study['protocol']}"
