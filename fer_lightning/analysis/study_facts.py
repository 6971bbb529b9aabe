"""What a study is, in a few words: its title, its model, epochs and dates, and whether its budget was cut."""

import pandas as pd

from fer_lightning.analysis.job_table import protocols
from fer_lightning.analysis.wording import axis_word, listed

# Keys that let a run see less of the data than there is.
LIMITS = ("trainer.limit_train_batches", "trainer.limit_val_batches", "trainer.limit_test_batches")


def title(study):
    """The question of the study; else what it compares: "Activation and normalization of CompactCNN"."""
    question = study.ledger["study"]["question"]
    if question:
        return question
    compared = listed(map(axis_word, study.axes))
    return " of ".join(filter(None, [compared[:1].upper() + compared[1:], models(study)])) or study.folder.resolve().name


def facts(study):
    """[(what, value)] of those that are known: model, epochs, images, data, protocol, seeds, day."""
    results = list(study.results.values())
    sizes = sorted({f"{n / 1e6:.2f} M" for n in study.jobs["parameters"].dropna()})
    counts = {f"{sum(part.values()):,}" for r in results if (part := ((r.get("data") or {}).get("counts") or {}).get("train"))}
    seeds = study.done["seed"].sort_values(kind="stable", key=lambda column: pd.to_numeric(column, errors="coerce"))
    known = {
        "Model": ", ".join(filter(None, [models(study), f"{listed(sizes, 3)} parameters" if sizes else ""])),
        "Epochs": _setting(study, "trainer.max_epochs"),
        "Training images": listed(sorted(counts), 3),
        "Data": listed(sorted(study.done["verdict"].dropna().astype(str).unique())) or "none yet",
        "Protocol": ", ".join(protocols(study.done)) or "none yet",
        "Seeds": listed(pd.unique(seeds.astype(str)), 6),
        "Run": _days(results),
    }
    return [(what, value) for what, value in known.items() if value]


def models(study):
    """The backbones of the study, by the name of a published model if there is one, else of the class."""
    name = study.ledger["base"].get("backbone.name")
    classes = {str((r.get("model") or {}).get("backbone") or "").rpartition(".")[2] for r in study.results.values()}
    return str(name) if name else listed(sorted(filter(None, classes)), 3)


def cut_budget(study):
    """A sentence on runs that saw less of the data in an epoch, because a limit was set; "" if none did."""
    limits = {key: {str(study.ledger["base"][key])} for key in LIMITS if study.ledger["base"].get(key) is not None}
    for result in study.results.values():
        for override in result["job"].get("overrides") or ():
            key, _, value = override.lstrip("+").partition("=")
            if key in LIMITS and value not in ("null", "1.0"):
                limits.setdefault(key, set()).add(value)
    if not limits:
        return ""
    named = listed(f"{key}={' or '.join(sorted(values))}" for key, values in limits.items())
    epochs = _setting(study, "trainer.max_epochs")
    if list(limits) == list(LIMITS[:1]) and (passes := _passes(study, epochs, *limits[LIMITS[0]])) >= 1:
        return f"Epochs are short: {named}, so {epochs} epochs are {passes:g} passes over the training images."
    return f"The budget was cut: {named}. These scores tell that the runs work, not how good they are."


def _passes(study, epochs, limit, *others):
    """How often a run saw each training image on average. limit: of its batches, a share or a number; 0 if there are `others` too."""
    images = dict(facts(study)).get("Training images", "").replace(",", "")
    try:
        share = float(limit) if "." in limit else float(limit) * study.ledger["base"].get("batch_size", 0) / float(images)
        return 0 if others else round(float(epochs) * share, 1)
    except ValueError:  # an axis, or not known
        return 0


def _setting(study, key):
    """The value of a setting that all runs share, else those of the runs that were swept over it."""
    for name in (key, "epochs"):
        if name in study.ledger["base"]:
            return str(study.ledger["base"][name])
        if name in study.jobs:
            return listed(pd.unique(study.jobs[name].astype(str)), 6)
    return ""


def _days(results):
    """The days on which the runs began: 2026-11-27 to 2026-11-28."""
    days = sorted({str((r.get("environment") or {}).get("started") or "")[:10] for r in results} - {""})
    return " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))
