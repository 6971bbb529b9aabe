"""The report of a study: a ranked table on the screen; results.csv, report.md and report.html beside the run folders.

    python -m fer_lightning.report multirun/NAME
    python -m fer_lightning.report multirun/NAME --figures pdf --latex     # every figure and table as a file too, for a paper
"""

import argparse
import sys
from pathlib import Path

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import to_markdown, write_latex
from fer_lightning.analysis.page.study_figures import draw_figures
from fer_lightning.analysis.stability_of_cells import stability_findings
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.study_record import gather, read_curves
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file
from fer_lightning.process.terminal import as_table, console
from fer_lightning.safety.spreadsheet import to_csv


def report(folder, figures=None, latex=False, pictures=True):
    """Write the report of a study folder and show the ranking. Returns how many jobs are not done.

    figures: pdf, png or svg, to write every figure below figures/; latex: whether to write every table below latex/
    pictures: whether the page shows pictures of the data
    """
    from fer_lightning.analysis.page.html import render

    study = gather(folder)
    about = study.ledger["study"]
    statistics = study_findings(study.folder, study.jobs, about)
    stability = stability_findings(study.folder, study.jobs, about)
    drawn = draw_figures(study, curves := read_curves(study), statistics.contrasts)
    page = render(study, curves, drawn, statistics, stability, pictures)

    conclusion, *tested = statistics.findings
    ranking = Finding("Ranking by validation accuracy", (), tables.ranking(study))
    findings = [ranking, tables.published(study), *tested, *stability, tables.unfinished(study)]
    findings = [finding for finding in findings if finding is not None]
    remarks = [*tables.remarks(study), *study.missing]
    shown = []
    if figures:
        from fer_lightning.figures.matplotlib_files import write_figures

        paths = write_figures(drawn, study.folder / "figures", figures)
        shown = [(drawn[path.stem].title, f"figures/{path.name}") for path in paths if figures != "pdf"]
    if latex:
        write_latex([*findings, Finding("Classes", (), tables.per_class(study))], study.folder / "latex")
    replace_file(study.folder / "results.csv", to_csv(study.jobs))
    replace_file(study.folder / "report.md", to_markdown(tables.heading(study), [*conclusion.text, *remarks], findings, shown))
    replace_file(study.folder / "report.html", page)
    _show(study, ranking.table, [statistics.verdict.paragraph, *remarks])
    return len(study.unfinished)


def _show(study, ranking, remarks):
    screen = console()
    screen.rule(tables.heading(study))
    if len(ranking):
        screen.print(as_table(ranking, right=("rank", *tables.TITLES.values())))
    for remark in remarks:
        screen.print(remark, highlight=False, markup=False)
    for job in study.unfinished.fillna({"error": ""}).itertuples():
        screen.print(f"{job.status}: {job.name}  {job.error}", style="red", markup=False)
    files = {"Report": "report.html", "as text": "report.md", "table": "results.csv"}
    places = "   ".join(f"{title}: {study.folder / name}" for title, name in files.items())
    screen.print(places, soft_wrap=True, highlight=False, markup=False)


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.report", description="Report of a study, from its run folders.")
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME")
    parser.add_argument("--figures", choices=("pdf", "png", "svg"), help="write every figure as a file below FOLDER/figures")
    parser.add_argument("--latex", action="store_true", help="write every table as a file below FOLDER/latex")
    parser.add_argument("--no-pictures", action="store_true", help="leave pictures of the data out of the page, to pass it on")
    arguments = parser.parse_args()
    try:
        report(arguments.folder, arguments.figures, arguments.latex, pictures=not arguments.no_pictures)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
