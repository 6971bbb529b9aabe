"""The report of a study: a ranked table on the screen, results.csv and report.md beside the run folders.

    python -m fer_lightning.report multirun/NAME
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
from rich.table import Table

from fer_lightning.analysis.published import audit, compare
from fer_lightning.analysis.results import rank_cells, read_jobs
from fer_lightning.errors import UserError
from fer_lightning.record import replace_file
from fer_lightning.screen import console

TITLES = {
    "n": "seeds",
    "val_accuracy": "val %",
    "test_accuracy": "test %",
    "test_accuracy_clean": "test clean %",
    "test_macro_f1": "macro F1 %",
    "total_s": "s",
}


def report(folder):
    """Write results.csv and report.md of a study folder and show the ranking. Returns how many jobs are not done."""
    folder = Path(folder)
    jobs = read_jobs(folder)
    done = jobs[jobs["status"] == "done"]
    unfinished = jobs[jobs["status"] != "done"]
    ledger = _read_ledger(folder)
    cells = _display(rank_cells(jobs)) if len(done) else pd.DataFrame()
    heading = f"{folder.name}: {len(done)} of {max(len(ledger['jobs'] or []), len(jobs))} jobs done"
    remarks = [
        f"Data: {_distinct(done, 'verdict')}. Protocol: {_distinct(done, 'protocol')}.",
        "Ranked by validation accuracy, mean over seeds; the test part never chooses. "
        "Test clean leaves out test pictures with a pixel-identical twin among those trained or selected on.",
    ]
    replace_file(folder / "results.csv", jobs.to_csv(index=False))
    replace_file(folder / "report.md", _markdown(heading, remarks, cells, unfinished) + _published(jobs, ledger["study"]))
    _show(heading, remarks, cells, unfinished, folder)
    return len(unfinished)


def _read_ledger(folder):
    """study.json; run folders gathered by hand have none."""
    path = folder / "study.json"
    return json.loads(path.read_text()) if path.exists() else {"jobs": None, "study": {"published": [], "doubts": []}}


def _published(jobs, study):
    """The paper's numbers beside ours, and what is wrong with them."""
    if not study["published"]:
        return ""
    table = compare(jobs, study)
    parts = [f"## Published against measured\n\n{study['paper']}, protocol of the paper: {study['protocol']}."]
    if len(table):
        for column in ("measured", "sd", "low", "high"):
            table[column] = ["" if pd.isna(value) else f"{100 * value:.2f}" for value in table[column]]
        table["95 % interval"] = [f"{low} to {high}" if low else "" for low, high in zip(table.pop("low"), table.pop("high"))]
        parts.append(_markdown_table(table.rename(columns={"verdict": "measured is"})))
        parts.append(
            "The interval is Student's for the mean over seeds; with one seed it is Wilson's over the test pictures. "
            "Above and below: the whole interval lies on that side of the paper's number."
        )
    else:
        parts.append("Nothing that the paper prints has been measured yet.")
    parts += [f"- {sentence}" for sentence in audit(study) + study["doubts"]]
    return "\n" + "\n\n".join(parts) + "\n"


def _display(cells):
    """The ranking as text: percentages with their standard deviation where there are several seeds."""
    shown = pd.DataFrame({"rank": range(1, len(cells) + 1)})
    for column in cells:
        if column.endswith("_sd"):
            continue
        values = cells[column]
        if column == "total_s":
            shown["s"] = values.map("{:.0f}".format)
        elif column in TITLES and column != "n":
            deviation = cells[f"{column}_sd"]
            shown[TITLES[column]] = [
                f"{100 * mean:.2f}" + (f" ± {100 * sd:.2f}" if pd.notna(sd) else "") for mean, sd in zip(values, deviation, strict=True)
            ]
        else:
            shown[TITLES.get(column, column)] = values.astype(str)
    return shown


def _distinct(jobs, column):
    return ", ".join(sorted(jobs[column].dropna().astype(str).unique())) or "none yet"


def _markdown(heading, remarks, cells, unfinished):
    parts = [f"# {heading}", *remarks]
    if len(cells):
        parts.append(_markdown_table(cells))
    if len(unfinished):
        parts += ["## Not done", _markdown_table(unfinished[["name", "status", "error"]].fillna(""))]
    return "\n\n".join(parts) + "\n"


def _markdown_table(frame):
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows)


def _show(heading, remarks, cells, unfinished, folder):
    screen = console()
    screen.rule(heading)
    if len(cells):
        table = Table()
        for column in cells:
            table.add_column(column, justify="right" if column in ("rank", *TITLES.values()) else "left")
        for row in cells.astype(str).values.tolist():
            table.add_row(*row)
        screen.print(table)
    for remark in remarks:
        screen.print(remark, highlight=False)
    for job in unfinished.itertuples():
        screen.print(f"{job.status}: {job.name}  {job.error or ''}", style="red", markup=False)
    screen.print(f"Report: {folder / 'report.md'}   table: {folder / 'results.csv'}", soft_wrap=True, highlight=False)


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.report", description="Report of a study, from its run folders.")
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME")
    try:
        report(parser.parse_args().folder)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
