"""The report of a study: a ranked table on the screen; results.csv, report.md and report.html beside the run folders."""

from rich.markup import escape

from fer_lightning.analysis import tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.markdown import to_markdown, write_latex
from fer_lightning.analysis.page.html import render
from fer_lightning.analysis.page.study_figures import draw_figures
from fer_lightning.analysis.stability_findings import stability_findings
from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.study_facts import title
from fer_lightning.analysis.study_record import gather, read_curves
from fer_lightning.process.files import replace_file
from fer_lightning.process.terminal import as_table, console
from fer_lightning.process.visible import visible
from fer_lightning.runs.ownership import check_replaced
from fer_lightning.safety.spreadsheet import to_csv


def report(folder, figures=None, latex=False, images=True):
    """Write the report of a study folder and show the ranking. Returns how many jobs are not done.

    figures: pdf, png or svg, to write every figure below figures/
    latex:   whether to write every table below latex/
    images:  whether the page shows images of the data
    """
    study = gather(folder)
    check_replaced(study.folder)
    about = study.ledger["study"]
    statistics = study_findings(study.folder, study.jobs, about, study.never_begun)
    stability = stability_findings(study.folder, study.jobs, about)
    plans = {"chances": statistics.chances, "reliability_of": statistics.reliability}
    drawn = draw_figures(study, curves := read_curves(study), statistics.contrasts, **plans)
    page = render(study, curves=curves, figures=drawn, statistics=statistics, stability=stability, images=images)

    conclusion, *tested = statistics.findings
    ranking = Finding("Ranking by validation accuracy", (), tables.ranking(study))
    findings = [ranking, tables.published(study), tables.doubts(study), *tested, *stability, tables.evaluations(study)]
    findings = [finding for finding in (*findings, tables.unfinished(study)) if finding is not None]
    remarks = [*tables.remarks(study), *study.missing]
    shown = []
    if figures:
        from fer_lightning.figures.matplotlib_files import write_figures  # matplotlib: 1 s that other reports do without

        paths = write_figures(drawn, study.folder / "figures", figures)
        shown = [(drawn[path.stem].title, f"figures/{path.name}") for path in paths if figures != "pdf"]
    if latex:
        write_latex([*findings, Finding("Classes", (), tables.per_class(study))], study.folder / "latex")
    replace_file(study.folder / "results.csv", to_csv(study.jobs))
    opening = [f"{tables.heading(study)}.", *conclusion.text, *remarks]
    # Names of folders are texts from elsewhere too.
    replace_file(study.folder / "report.md", visible(to_markdown(title(study), opening, findings, shown)))
    replace_file(study.folder / "report.html", visible(page))
    _show(study, ranking.table, [statistics.verdict.paragraph, *remarks])
    return len(study.unfinished)


def _show(study, ranking, remarks):
    screen = console()
    screen.rule(escape(tables.heading(study)))
    if len(ranking):
        screen.print(as_table(ranking, right=("rank", *tables.titles().values())))
    for remark in remarks:
        screen.print(remark, highlight=False, markup=False)
    for job in study.unfinished.fillna({"error": ""}).itertuples():
        screen.print(f"{job.status}: {job.name}  {job.error}", style="red", markup=False)
    for kind, name in {"Report:": "report.html", "as text:": "report.md", "table:": "results.csv"}.items():
        screen.print(f"{kind:8} {study.folder / name}", soft_wrap=True, highlight=False, markup=False)
