"""A comparison of two runs in words and tables."""

import json

import pandas as pd

from fer_lightning.analysis.finding import Finding
from fer_lightning.process.terminal import as_table, console
from fer_lightning.runs.finished_run import CLEAN_UNKNOWN
from fer_lightning.runs.scores import is_percent

CAUTION = (
    "The test compares these two trained networks, not two methods: each is one training, and another seed alone moves an accuracy by half "
    "a point. To compare methods, train each with several seeds and use python -m fer_lightning.report."
)

# The JSON file has all.
SHOWN_FLOWS = 10

# What the cells of a column of numbers look like.
NUMBER = r"$|[-+<\d]"


def comparison_findings(comparison):
    """The Findings of what `compare_runs` returns."""
    found = [_runs(comparison), _scores(comparison["metrics"])]
    if comparison["refused"]:
        found.append(Finding("Paired test", (f"Left out: {comparison['refused']}",)))
    else:
        found += [_test(comparison), *_changes(comparison)]
    if comparison["config"] is None:
        ensembles = [side["folder"] for side in (comparison["a"], comparison["b"]) if side["members"]]
        sentence = f"An ensemble has no settings of its own: {', '.join(ensembles)}." if ensembles else "A run has no .hydra/config.yaml."
        found.append(Finding("Settings", (sentence,)))
    else:
        found.append(_differing("Settings that differ", comparison["config"]))
    return [*found, _differing("Code and environment that differ", comparison["environment"])]


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
        share = is_percent(name)
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
        texts.append(f"A scored {counts['a']:,} images, B {counts['b']:,}; the test uses the {counts['both']:,} that both scored.")
    if comparison["a"]["data"] != comparison["b"]["data"]:
        texts.append("They read their data from two places: images are paired by row, which assumes that both copies have the same layout.")
    rows = {}
    for among, judged in comparison["paired"].items():
        if judged:
            rows[f"accuracy, {among} {judged['n']:,}"] = [*_gap(judged["accuracy"]), *_mcnemar(judged["accuracy"])]
            rows[f"macro F1, {among} {judged['n']:,}"] = [*_gap(judged["macro_f1"]), *[""] * 4]
    if comparison["split"] == "test" and comparison["paired"]["clean"] is None:
        texts.append(CLEAN_UNKNOWN)
    accuracy = test["accuracy"]
    texts += [
        f"{100 * accuracy['discordant']:.1f} % of the images are right in one network only. The least difference with p < .05 is then "
        f"{100 * accuracy['significant_from']:.2f} points; one of {100 * accuracy['power_80_from']:.2f} would be found in 80 % of cases.",
        "p: McNemar's exact test, mid-p. Intervals: Tango's for the accuracy, a bootstrap over images for the macro F1.",
        CAUTION,
    ]
    columns = ["", "A %", "B %", "B - A", "95 % interval", "only A right", "only B right", "discordant %", "p"]
    return Finding(f"Paired test, {comparison['split']} images", tuple(texts), _columns(rows, columns))


def _gap(gap):
    interval = f"{100 * gap['low']:+.2f} to {100 * gap['high']:+.2f}"
    return f"{100 * gap['a']:.2f}", f"{100 * gap['b']:.2f}", f"{100 * gap['difference']:+.2f}", interval


def _mcnemar(accuracy):
    p = f"{accuracy['p']:.3f}" if accuracy["p"] >= 0.001 else "< .001"
    return f"{accuracy['only_a']:,}", f"{accuracy['only_b']:,}", f"{100 * accuracy['discordant']:.2f}", p


def _changes(comparison):
    changes = pd.DataFrame(comparison["changes"])
    moved, churn = int(changes.iloc[-1, 2:5].sum()), comparison["paired"]["all"]["churn"]
    text = f"B puts {moved:,} images into another class than A: a churn of {100 * churn:.2f} %."
    yield Finding("Changed images by their label, A -> B", (text,), changes)
    table = pd.DataFrame(comparison["flows"])
    if len(table):
        first = table.head(SHOWN_FLOWS).rename(columns={"a": "A says", "b": "B says"})
        yield Finding(f"How they changed: the {len(first)} most frequent of {len(table)} changes", table=first)


def _differing(title, differing):
    rows = {key: [_value(values[side]) if side in values else "not there" for side in "ab"] for key, values in differing.items()}
    return Finding(title, table=_columns(rows, ["", "A", "B"])) if rows else Finding(title, ("None.",))


def _value(value):
    return value if isinstance(value, str) else json.dumps(value)


def _columns(rows, names):
    return pd.DataFrame([[name, *values] for name, values in rows.items()], columns=names)


def show_findings(findings):
    """Print findings."""
    screen = console()
    for finding in findings:
        screen.print(f"\n{finding.title}", style="bold", markup=False, highlight=False)
        if finding.table is not None:
            cells = finding.table.astype(str)
            screen.print(as_table(cells, right=[column for column in cells if cells[column].str.match(NUMBER).all()]))
        for text in finding.text:
            screen.print(text, markup=False, highlight=False)
