"""The report of a study: a ranked table on the screen, results.csv and report.md beside the run folders.

    python -m fer_lightning.report multirun/NAME
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from fer_lightning.analysis.results import rank_cells, read_jobs
from fer_lightning.errors import UserError
from fer_lightning.record import replace_file

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
    ledger = folder / "study.json"
    planned = len(json.loads(ledger.read_text())["jobs"] or jobs) if ledger.exists() else len(jobs)
    cells = _display(rank_cells(jobs)) if len(done) else pd.DataFrame()
    heading = f"{folder.name}: {len(done)} of {max(planned, len(jobs))} jobs done"
    remarks = [
        f"Data: {_distinct(done, 'verdict')}. Protocol: {_distinct(done, 'protocol')}.",
        "Ranked by validation accuracy, mean over seeds; the test part never chooses. "
        "Test clean leaves out test pictures with a pixel-identical twin among those trained or selected on.",
    ]
    replace_file(folder / "results.csv", jobs.to_csv(index=False))
    replace_file(folder / "report.md", _markdown(heading, remarks, cells, unfinished))
    _show(heading, remarks, cells, unfinished, folder)
    return len(unfinished)


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
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a log file has room; 80 columns would cut the table
    console.rule(heading)
    if len(cells):
        table = Table()
        for column in cells:
            table.add_column(column, justify="right" if column in ("rank", *TITLES.values()) else "left")
        for row in cells.astype(str).values.tolist():
            table.add_row(*row)
        console.print(table)
    for remark in remarks:
        console.print(remark, highlight=False)
    for job in unfinished.itertuples():
        console.print(f"{job.status}: {job.name}  {job.error or ''}", style="red", markup=False)
    console.print(f"Report: {folder / 'report.md'}   table: {folder / 'results.csv'}", soft_wrap=True, highlight=False)


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.report", description="Report of a study, from its run folders.")
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME")
    try:
        report(parser.parse_args().folder)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
