"""Two finished runs compared, as plain values; `comparison_findings` puts them into words and tables."""

from fer_lightning.analysis.two_runs import changes_by_class, flows, judge, kinds
from fer_lightning.data.faces import classes_of
from fer_lightning.runs.finished_run import difference, on_both
from fer_lightning.runs.predictions import class_name
from fer_lightning.runs.result import COUNTS

# Entries of `environment` in which every two runs differ.
OF_ONE_RUN = ("started", "pid")


def compare_runs(a, b, split="test"):
    """All that can be said of two runs (`Run`), as plain values: fractions, and differences b - a.

    `refused` says why the two cannot be paired; `paired`, `changes` and `flows` are then missing.
    """
    first, second = a.settings(), b.settings()
    comparison = {
        "a": about(a),
        "b": about(b),
        "split": split,
        "metrics": {part: _beside(scores(a, part), scores(b, part)) for part in ("val", "test")},
        "config": None if first is None or second is None else differing(first, second),
        "environment": differing(*({k: v for k, v in run.result["environment"].items() if k not in OF_ONE_RUN} for run in (a, b))),
        "refused": difference(a, b),
    }
    if comparison["refused"]:
        return comparison
    images = on_both(a, b, split)
    comparison["pictures"] = {"a": len(a.part(split)), "b": len(b.part(split)), "both": len(images)}
    if images.empty:
        return comparison | {"refused": f"There is no {split} image that both have scored."}
    names = classes_of(a.result)
    classes = images[["label", "prediction_a", "prediction_b"]].to_numpy().T
    clean = images["clean"].to_numpy() if "clean" in images else None
    return comparison | {
        "paired": {"all": judge(*classes), "clean": judge(*classes[:, clean]) if clean is not None and clean.any() else None},
        "changes": changes_by_class(*classes, names).to_dict("records"),
        "flows": flows(*classes, names).to_dict("records"),
    }


def about(run):
    """What a run is, in a few values."""
    result = run.result
    return {
        "folder": str(run.folder),
        "model": result["model"].get("backbone"),
        "parameters": result["model"].get("parameters"),
        "members": len(result["members"]) if "members" in result else None,
        "seed": None if "members" in result else result["job"]["seed"],
        "protocol": result["protocol"],
        "data": f"{result['data'].get('source')}, {result['data'].get('verdict')}",
        "epochs": run.epochs(),
        "selected_epoch": (result.get("selected") or {}).get("epoch"),
        "total_s": (result.get("time") or {}).get("total_s"),
    }


def scores(run, part):
    """{score: value} of a part, with the recall of each class."""
    metrics = run.result["metrics"].get(part) or {}
    recalls = {f"recall {name}": entry["recall"] for name, entry in metrics.get("per_class", {}).items()}
    return {k: v for k, v in metrics.items() if isinstance(v, (int, float)) and k not in COUNTS} | recalls


def _beside(first, second):
    table = {}
    for name in {**first, **second}:
        a, b = first.get(name), second.get(name)
        table[name] = {"a": a, "b": b, "difference": None if a is None or b is None else b - a}
    return table


def differing(first, second):
    """{key: {a: value, b: value}} of the keys in which two flat dicts differ; a side without the key is left out."""
    keys = [key for key in {**first, **second} if key not in first or key not in second or first[key] != second[key]]
    return {key: {side: node[key] for side, node in zip("ab", (first, second)) if key in node} for key in keys}


def changed_images(a, b, split):
    """A row for each image that the two runs put into different classes: what each predicts, and with which probability."""
    images = on_both(a, b, split)
    images.insert(1, "split", split)
    images["change"] = kinds(*images[["label", "prediction_a", "prediction_b"]].to_numpy().T)
    changed = images[images["change"].notna()].copy()
    for column in ("label", "prediction_a", "prediction_b"):
        changed[column] = [class_name(c, classes_of(a.result)) for c in changed[column]]
    return changed
