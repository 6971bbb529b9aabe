"""Two finished runs side by side: their scores, the test of their difference on the same pictures, what changed, how they were made.

    python -m fer_lightning.compare RUN RUN [--split val|test] [--json FILE] [--csv FILE]
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.two_runs import changes_by_class, flows, judge, kinds
from fer_lightning.data.faces import CLASSES
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, replace_file
from fer_lightning.process.terminal import as_table, console
from fer_lightning.runs.finished_run import CLEAN_UNKNOWN, difference, on_both, read_run
from fer_lightning.safety.spreadsheet import to_csv

CAUTION = (
    "The test compares these two trained nets, not two methods: each is one training, and another seed alone moves an accuracy by half "
    "a point. Methods are compared over several seeds, by python -m fer_lightning.report."
)

# Scores that are fractions of 1 and shown as percentages; losses and calibration errors are shown as they are.
SHARES = ("accuracy", "macro_f1", "weighted_f1", "top2", "recall", "ferplus_agreement")

# Of the environment, what no two runs share.
OF_ONE_RUN = ("started", "pid")

# The JSON file has all.
SHOWN_FLOWS = 10

# What the cells of a column of numbers look like.
NUMBER = r"$|[-+<\d]"


def compare(a, b, split="test"):
    """Everything that is said of two runs (`Run`), as plain values: fractions, and differences b - a.

    `refused` says why the two cannot be paired; there is no `paired`, `changes` and `flows` then.
    """
    first, second = a.settings(), b.settings()
    comparison = {
        "a": about(a),
        "b": about(b),
        "split": split,
        "metrics": {part: _beside(scores(a, part), scores(b, part)) for part in ("val", "test")},
        "config": None if first is None or second is None else unlike(first, second),
        "environment": unlike(*({k: v for k, v in run.result["environment"].items() if k not in OF_ONE_RUN} for run in (a, b))),
        "refused": difference(a, b),
    }
    if comparison["refused"]:
        return comparison
    pictures = on_both(a, b, split)
    comparison["pictures"] = {"a": len(a.part(split)), "b": len(b.part(split)), "both": len(pictures)}
    if pictures.empty:
        return comparison | {"refused": f"There is no {split} picture that both have scored."}
    classes = pictures[["label", "prediction_a", "prediction_b"]].to_numpy().T
    clean = pictures["clean"].to_numpy() if "clean" in pictures else None
    return comparison | {
        "paired": {"all": judge(*classes), "clean": judge(*classes[:, clean]) if clean is not None and clean.any() else None},
        "changes": changes_by_class(*classes, CLASSES).to_dict("records"),
        "flows": flows(*classes, CLASSES).to_dict("records"),
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
    """{score: value} of a part, the recall of each class among them."""
    metrics = run.result["metrics"].get(part) or {}
    recalls = {f"recall {name}": entry["recall"] for name, entry in metrics.get("per_class", {}).items()}
    return {k: v for k, v in metrics.items() if isinstance(v, (int, float)) and k not in ("n", "n_clean", "n_clean_near")} | recalls


def _beside(first, second):
    table = {}
    for name in {**first, **second}:
        a, b = first.get(name), second.get(name)
        table[name] = {"a": a, "b": b, "difference": None if a is None or b is None else b - a}
    return table


def unlike(first, second):
    """{key: {a: value, b: value}} of what differs between two flat dicts; a side that has no such key is left out."""
    keys = [key for key in {**first, **second} if key not in first or key not in second or first[key] != second[key]]
    return {key: {side: node[key] for side, node in zip("ab", (first, second)) if key in node} for key in keys}


def changed_pictures(a, b, split):
    """A row for each picture that the two runs put into different classes, with what each says and how sure it is."""
    pictures = on_both(a, b, split)
    pictures.insert(1, "split", split)
    pictures["change"] = kinds(*pictures[["label", "prediction_a", "prediction_b"]].to_numpy().T)
    changed = pictures[pictures["change"].notna()].copy()
    for column in ("label", "prediction_a", "prediction_b"):
        changed[column] = [CLASSES[c] for c in changed[column]]
    return changed


def findings(comparison):
    """What `compare` returns as a reader sees it."""
    found = [_runs(comparison), _scores(comparison["metrics"])]
    if comparison["refused"]:
        found.append(Finding("Paired test", (f"Left out: {comparison['refused']}",)))
    else:
        found += [_test(comparison), *_changes(comparison)]
    if comparison["config"] is None:
        without = [side["folder"] for side in (comparison["a"], comparison["b"]) if side["members"]]
        sentence = f"An ensemble has none of its own: {', '.join(without)}." if without else "A run has no .hydra/config.yaml."
        found.append(Finding("Settings", (sentence,)))
    else:
        found.append(_unlike("Settings that differ", comparison["config"]))
    return [*found, _unlike("Code and environment that differ", comparison["environment"])]


def _runs(comparison):
    rows = {}
    for key in comparison["a"]:
        values = [comparison[side][key] for side in "ab"]
        if key == "selected_epoch":  # counted from 1, as on the screen of a training
            values = [value if value is None else value + 1 for value in values]
        if values != [None, None]:
            rows[key.replace("_", " ")] = ["" if v is None else f"{v:,}" if isinstance(v, int) else str(v) for v in values]
    return Finding("Runs", table=_columns(rows, ["", "A", "B"]))


def _scores(metrics):
    parts = {name: part for name, part in metrics.items() if part}
    names = list(dict.fromkeys(name for part in parts.values() for name in part))
    rows = {}
    for name in names:
        share = name.startswith(SHARES)
        values = [part.get(name, {}).get(key) for part in parts.values() for key in ("a", "b", "difference")]
        signs = ["", "", "+"] * len(parts)
        rows[f"{name} %" if share else name] = [
            "" if v is None else f"{100 * v:{sign}.2f}" if share else f"{v:{sign}.4f}" for v, sign in zip(values, signs)
        ]
    return Finding("Scores", table=_columns(rows, ["", *(f"{name} {column}" for name in parts for column in ("A", "B", "B - A"))]))


def _test(comparison):
    counts, test = comparison["pictures"], comparison["paired"]["all"]
    texts = []
    if not counts["a"] == counts["b"] == counts["both"]:
        texts.append(f"A scored {counts['a']:,} pictures, B {counts['b']:,}; these are the {counts['both']:,} that both did.")
    if comparison["a"]["data"] != comparison["b"]["data"]:
        texts.append("They read their data from two places: pictures are paired by row, which takes both copies to have the same layout.")
    rows = {}
    for among, judged in comparison["paired"].items():
        if judged:
            rows[f"accuracy, {among} {judged['n']:,}"] = [*_gap(judged["accuracy"]), *_mcnemar(judged["accuracy"])]
            rows[f"macro F1, {among} {judged['n']:,}"] = [*_gap(judged["macro_f1"]), *[""] * 4]
    if comparison["split"] == "test" and comparison["paired"]["clean"] is None:
        texts.append(CLEAN_UNKNOWN)
    accuracy = test["accuracy"]
    texts += [
        f"With {100 * accuracy['discordant']:.1f} % of the pictures right in one net only, {100 * accuracy['significant_from']:.2f} points "
        f"are the least difference with p < .05, and one of {100 * accuracy['power_80_from']:.2f} would be found four times in five.",
        "p: McNemar's exact test, mid-p. Intervals: Tango's for the accuracy, a bootstrap over pictures for the macro F1.",
        CAUTION,
    ]
    columns = ["", "A %", "B %", "B - A", "95 % interval", "only A right", "only B right", "discordant %", "p"]
    return Finding(f"Paired test, {comparison['split']} pictures", tuple(texts), _columns(rows, columns))


def _gap(gap):
    interval = f"{100 * gap['low']:+.2f} to {100 * gap['high']:+.2f}"
    return f"{100 * gap['a']:.2f}", f"{100 * gap['b']:.2f}", f"{100 * gap['difference']:+.2f}", interval


def _mcnemar(accuracy):
    p = f"{accuracy['p']:.3f}" if accuracy["p"] >= 0.001 else "< .001"
    return f"{accuracy['only_a']:,}", f"{accuracy['only_b']:,}", f"{100 * accuracy['discordant']:.2f}", p


def _changes(comparison):
    changes = pd.DataFrame(comparison["changes"])
    moved, churn = int(changes.iloc[-1, 2:5].sum()), comparison["paired"]["all"]["churn"]
    text = f"B puts {moved:,} pictures into another class than A: a churn of {100 * churn:.2f} %."
    yield Finding("Changed pictures by their label, A -> B", (text,), changes)
    table = pd.DataFrame(comparison["flows"])
    if len(table):
        first = table.head(SHOWN_FLOWS).rename(columns={"a": "A says", "b": "B says"})
        yield Finding(f"Where they went, the {len(first)} most frequent ways of {len(table)}", table=first)


def _unlike(title, differing):
    rows = {key: [_value(values[side]) if side in values else "not there" for side in "ab"] for key, values in differing.items()}
    return Finding(title, table=_columns(rows, ["", "A", "B"])) if rows else Finding(title, ("None.",))


def _value(value):
    return value if isinstance(value, str) else json.dumps(value)


def _columns(rows, names):
    return pd.DataFrame([[name, *values] for name, values in rows.items()], columns=names)


def show(found):
    """Print findings."""
    screen = console()
    for finding in found:
        screen.print(f"\n{finding.title}", style="bold", markup=False, highlight=False)
        if finding.table is not None:
            cells = finding.table.astype(str)
            screen.print(as_table(cells, right=[column for column in cells if cells[column].str.match(NUMBER).all()]))
        for text in finding.text:
            screen.print(text, markup=False, highlight=False)


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.compare", description="Two finished runs side by side.")
    parser.add_argument("a", type=Path, metavar="RUN", help="a finished run folder")
    parser.add_argument("b", type=Path, metavar="RUN", help="another one; differences are the second minus the first")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="the part whose pictures are paired")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the pictures that the two put into different classes")
    arguments = parser.parse_args()
    try:
        if arguments.a.resolve() == arguments.b.resolve():
            raise UserError(f"{arguments.a} is named twice: name two runs.")
        for path in filter(None, (arguments.json, arguments.csv)):
            check_writable(path)
        a, b = read_run(arguments.a), read_run(arguments.b)
        comparison = compare(a, b, arguments.split)
        show(findings(comparison))
        if arguments.json:
            replace_file(arguments.json, json.dumps(comparison, indent=1, allow_nan=False) + "\n")
        if arguments.csv:
            if comparison["refused"]:
                raise UserError(f"{arguments.csv} is not written: the two runs cannot be paired.")
            replace_file(arguments.csv, to_csv(changed_pictures(a, b, arguments.split)))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
