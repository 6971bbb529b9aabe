"""The tables of a report as a reader sees them: percentages with two decimals, with a standard deviation for several seeds."""

import json
from functools import partial

import numpy as np
import pandas as pd

from fer_lightning.analysis import study_facts
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.published import audit, notes
from fer_lightning.analysis.wording import number, percent
from fer_lightning.config.cell_names import cell_name, level_text
from fer_lightning.runs import scores

RANKED = (
    "Ranked by validation accuracy, mean over seeds; the test part never chooses. "
    "Test clean leaves out test images with a pixel-identical twin among those trained or selected on. "
    "±: standard deviation over seeds."
)


def titles():
    """{column of the jobs or the cells: its heading} of the numbers in a ranking."""
    tested = {f"test_{score.name}": f"{score.ranked} %" if score.percent else score.ranked for score in scores.ranked()}
    return {"n": "seeds", "val_accuracy": "val %", **tested, "total_s": "s"}


def heading(study):
    return f"{study.folder.resolve().name}: {len(study.done)} of {study.planned} jobs done"


def remarks(study):
    """What was trained on what, under which protocol, with which part of the budget, and how cells are ordered."""
    facts = " ".join(f"{what}: {value}." for what, value in study_facts.facts(study))
    return list(filter(None, [facts, study_facts.cut_budget(study), RANKED]))


def ranking(study):
    """A row a cell, the best first; cells with the same score share a rank."""
    cells, headings = study.cells, titles()
    score = next((column for column in ("val_accuracy", "test_accuracy") if column in cells), None)
    ranks = cells[score].rank(method="min", ascending=False) if score else []
    shown = pd.DataFrame({"rank": ["" if pd.isna(rank) else f"{rank:.0f}" for rank in ranks]})
    for column in cells:
        if column.endswith("_sd"):
            continue
        values = cells[column].reset_index(drop=True)
        if column == "total_s":
            shown["s"] = values.map("{:.0f}".format)
        elif column in headings and column != "n":
            shown[headings[column]] = [_with_sd(mean, sd, _unit(column)) for mean, sd in zip(values, cells[f"{column}_sd"], strict=True)]
        else:
            shown[headings.get(column, column)] = values.astype(str)
    return shown


def published(study):
    """The paper's numbers beside ours. A Finding, None if the study repeats no paper."""
    about = study.ledger["study"]
    if not about["published"]:
        return None
    table = study.published
    text = [f"{about['paper']}, protocol of the paper: {about['protocol']}."]
    if len(table):
        verdicts, common = _without_common(table["verdict"])
        text += [f"Not comparable with the paper, because of {common}."] if common else []
        text.append(
            "The interval is Student's for the mean over seeds; with one seed it is Wilson's over the images. "
            "Above and below: the whole interval lies on that side of the paper's number."
        )
    else:
        text.append("Nothing that the paper prints has been measured yet.")
    shown = _beside_the_paper(table, verdicts) if len(table) else None
    return Finding("Published against measured", (*text, *notes(about)), shown)


def doubts(study):
    """What the paper contradicts itself in, and printed numbers that cannot be. A Finding, None if there is nothing."""
    about = study.ledger["study"]
    found = (*audit(about), *about["doubts"])
    return Finding("Doubts about the paper", found) if found else None


def _beside_the_paper(table, verdicts):
    units = {"%": percent, "M": partial(number, digits=3), "ms": partial(number, digits=1), "": partial(number, digits=4)}
    texts = [units[unit] for unit in table["unit"]]
    means = [value if isinstance(value, str) else text(value) for text, value in zip(texts, table["measured"])]
    sds, lows, highs = ([text(value) for text, value in zip(texts, table[key])] for key in ("sd", "low", "high"))
    keys = list(table.columns[: table.columns.get_loc("row")])
    cells = [cell_name(dict(zip(keys, levels, strict=True))) for levels in table[keys].astype(str).to_numpy()]
    shown = pd.DataFrame({"cell": cells} if keys else {}, index=table.index)
    names = table["metric"].str.replace("_", " ").str.replace(r"\bf1\b", "F1", regex=True)
    shown["number"] = [f"{name}, {unit}" if unit else name for name, unit in zip(names, table["unit"], strict=True)]
    shown["published"] = table["published"]
    shown["measured"] = [f"{mean} ± {sd}" if sd else mean for mean, sd in zip(means, sds, strict=True)]
    shown["95 % interval"] = [f"{low} to {high}" if low else "" for low, high in zip(lows, highs)]
    return shown.assign(**{"measured is": verdicts, "seeds": table["n"].astype(str), "row": table["row"]})


def _without_common(verdicts):
    """(the verdicts, reasons): why most rows cannot be compared is said once, and their rows say only that; "" if no reason recurs."""
    reasons = verdicts[verdicts.str.startswith("not comparable: ")]
    if not len(reasons) or reasons.value_counts().iloc[0] < 2:
        return verdicts, ""
    common = reasons.value_counts().index[0]
    return verdicts.where(verdicts != common, "not comparable"), common.removeprefix("not comparable: ")


def unfinished(study):
    """The jobs that are not done, each with its error. A Finding, None if all are done."""
    table = study.unfinished[["name", "status", "error"]].fillna("").astype(str)
    return Finding("Not done", (), table) if len(table) else None


def runs(study):
    """A row for each run, finished or not."""
    jobs = study.jobs
    shown = pd.DataFrame({"run": jobs["name"], "status": jobs["status"], "seed": jobs["seed"].map(level_text)})
    for column, title in titles().items():
        if column in jobs and column != "total_s" and jobs[column].notna().any():
            shown[title] = [_unit(column)(value) for value in jobs[column]]
    shown["epoch"] = ["" if pd.isna(epoch) else str(int(epoch) + 1) for epoch in jobs["epoch"]]
    return shown


def costs(study):
    """A row a cell: what it takes to train and to use."""
    columns = {"total_s": ("s a run", 1, ".0f"), "images_per_s": ("images/s", 1, ".0f"), "parameters": ("parameters, M", 1e6, ".3f")}
    columns |= {"trainable": ("trainable, M", 1e6, ".3f"), "flops": ("GFLOPs", 1e9, ".3f"), "test_pass_ms": ("test pass, ms", 1, ".1f")}
    shown = pd.DataFrame({"cell": study.cells.index})
    means = [study.runs[label][list(columns)].astype(float).mean() for label in study.cells.index]
    for column, (title, unit, digits) in columns.items():
        values = [mean[column] / unit for mean in means]
        if not pd.isna(values).all():
            shown[title] = ["" if pd.isna(value) else f"{value:{digits}}" for value in values]
    return shown


def per_class(study):
    """Three rows a cell: recall, precision and F1 of each class on the test part, in percent, over the seeds."""
    rows = []
    for label in study.cells.index:
        classes = study.classes(label)
        tables = [part["per_class"] for part in study.test_scores(label) if set(classes) <= set(part.get("per_class") or ())]
        for measure in ("recall", "precision", "f1") if tables else ():
            values = np.array([[table[c][measure] for c in classes] for table in tables])
            sd = values.std(0, ddof=1) if len(values) > 1 else [None] * len(classes)
            shown = dict(zip(classes, map(_with_sd, values.mean(0), sd)))
            rows.append({"cell": label, "measure": "F1" if measure == "f1" else measure} | shown)
    return pd.DataFrame(rows).fillna("")  # cells need not have the same classes


def data(study):
    """What the runs were trained and tested on, and how much of the test part leaks, a row for each kind of data and protocol."""
    rows = {}
    for result in study.results.values():
        about = result.get("data")
        if not about:
            continue
        kind = {"source": about.get("source"), "verdict": about.get("verdict"), "protocol": result.get("protocol")}
        row = rows.setdefault(json.dumps([*kind.values(), about.get("fingerprint")]), kind | {"runs": 0})
        row["runs"] += 1
        row |= {part: sum(counts.values()) for part, counts in _counts(result).items()}
        row |= _leaks((result.get("metrics") or {}).get("test") or {})
    text = ["A test image leaks if the same image was trained or selected on; the other test images are clean."] if rows else []
    if len(rows) > 1:
        text.append(f"The runs are of {len(rows)} kinds of data or protocol: scores are not comparable between them.")
    return Finding("Data and leakage", tuple(text), pd.DataFrame(rows.values()).fillna("").astype(str))


def evaluations(study):
    """The scores of the finished runs on other data (`python -m fer_lightning.evaluate`), a row for each cell and data; None if none"""
    shown = []
    for (label, _), records in study.evaluations.items():
        about, tested = records[0]["data"], [record["metrics"] for record in records]
        row = {"cell": label, "data": about["source"], "part": about["part"], "seeds": str(len(records)), "images": f"{tested[0]['n']:,}"}
        for name, title in (("accuracy", "accuracy %"), ("accuracy_clean", "clean %"), ("macro_f1", "macro F1 %")):
            values = pd.Series([metrics.get(name) for metrics in tested], dtype=float)
            row[title] = "" if values.isna().any() else _with_sd(values.mean(), values.std())
        shown.append(row)
    text = "Finished runs on other data or parts; no choice was made by these scores. ±: standard deviation over seeds."
    return Finding("On other data", (text,), pd.DataFrame(shown)) if shown else None


def _leaks(test):
    """{column: "3275 (8.7 % leak)"} for the kinds of twins that the run knows of."""
    kinds = {"n_clean": "clean of identical twins", "n_clean_near": "clean of near twins"}
    known = {title: test[n] for n, title in kinds.items() if test.get(n) is not None and test.get("n")}
    return {title: f"{clean} ({100 * (1 - clean / test['n']):.1f} % leak)" for title, clean in known.items()}


def class_counts(study):
    """How many images of every class each part has, a row for each part and protocol."""
    rows = [
        {"protocol": result.get("protocol"), "part": part} | counts
        for result in study.results.values()
        for part, counts in _counts(result).items()
    ]
    return pd.DataFrame(rows, dtype=object).drop_duplicates().fillna("").astype(str)


def _counts(result):
    """{part: {class: images}} of a run."""
    counts = (result.get("data") or {}).get("counts") or {}
    return {part: classes or {} for part, classes in counts.items()}


def _unit(column):
    """How to write the values of a score: as percentages, or as they are."""
    score = column.removeprefix("test_").removeprefix("val_").removeprefix("train_")
    return percent if scores.is_percent(score) else partial(number, digits=4)


def _with_sd(mean, sd, unit=percent):
    """73.28 ± 0.31; without the deviation for one seed."""
    return unit(mean) + (f" ± {unit(sd)}" if unit(sd) else "")
