"""report.html: all of a study on one page, which needs no other file."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from fer_lightning.analysis import study_facts, tables
from fer_lightning.analysis.finding import Finding
from fer_lightning.analysis.page.configs import read_configs, split_common
from fer_lightning.analysis.page.curves import curves_payload
from fer_lightning.analysis.page.gallery import Gallery, error_gallery, saliency_sheets
from fer_lightning.analysis.page.study_figures import COSTS, MOST_LINES, confusion_counts
from fer_lightning.config.cell_names import level_text
from fer_lightning.figures.plotly_charts import chart_json, themes
from fer_lightning.figures.style import COLOURS, DASHES, look

TEMPLATES = Path(__file__).parent / "templates"

SECTIONS = {
    "verdict": "Verdict", "ranking": "Ranking", "published": "Published", "effects": "Effects", "curves": "Curves",
    "stability": "Stability", "confusion": "Confusion", "classes": "Classes", "errors": "Errors", "saliency": "Saliency",
    "cost": "Cost", "configs": "Configs", "data": "Data", "failed": "Not done", "runs": "Runs",
}  # fmt: skip

# The dashes of lines in a legend, as SVG writes them; DASHES has plotly's names of them.
STROKES = ("none", "8 4", "2 3", "8 3 2 3")

NUMBER = re.compile(r"[-+]?\.?\d")
MOST_DIGITS = 24  # "2 of 3 runs diverged; ..." begins with a number and is a sentence


@dataclass(frozen=True)
class Table:
    """columns: (name, whether its cells are numbers); rows: lists of text; commands: to copy, one for each row, or none"""

    name: str
    columns: list
    rows: list
    commands: list


def render(study, *, curves, figures, statistics, stability, images=True):
    """The page as a string.

    curves, figures: of `read_curves` and `draw_figures`; statistics: of `study_findings`; stability: Findings
    images: whether to show images of the data
    """
    loader = FileSystemLoader(TEMPLATES)
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    differing, common = split_common(read_configs(study))
    left_out = "Images are left out of this page."
    gallery = error_gallery(study) if images else Gallery(why=left_out)
    sheets, sheets_in_all = saliency_sheets(study) if images else ([], 0)
    payload = curves_payload(study, curves)
    conclusion, *tested = statistics.findings
    published, unfinished, elsewhere = tables.published(study), tables.unfinished(study), tables.evaluations(study)
    return jinja.get_template("report.html").render(
        name=study.folder.resolve().name,
        title=study_facts.title(study),
        facts=study_facts.facts(study),
        cut=study_facts.cut_budget(study),
        published_faces=any(verdict not in ("synthetic", "own") for verdict in study.done["verdict"]),
        command=shlex.join(["python", "-m", "fer_lightning", *study.ledger["command"]]) if study.ledger["command"] else "",
        sections=SECTIONS.items(),
        word=statistics.verdict.word,
        conclusion=conclusion.text,
        heading=tables.heading(study),
        ranked=tables.RANKED,
        missing=study.missing,
        charts={name: _chart(figure) for name, figure in figures.items() if not name.startswith("curves")},  # the page has all runs
        published=published and _with_table(published),
        doubts=tables.doubts(study),
        unfinished=unfinished and _with_table(unfinished),
        statistics=[_with_table(finding) for finding in tested],
        stability=[_with_table(finding) for finding in stability],
        curves=htmlsafe_json_dumps(payload | {"looks": _looks(), "most": MOST_LINES}) if payload["runs"] else "",
        step=payload["step"],
        confusion=htmlsafe_json_dumps(_confusion(study)) if "confusion" in figures else "",
        gallery=gallery,
        sheets=sheets,
        sheets_in_all=sheets_in_all,
        no_sheets="No run has a sheet; python -m fer_lightning.explain RUN makes one." if images else left_out,
        same_costs=[short for cost, (short, *_) in COSTS.items() if f"cost_{cost.removesuffix('_s')}" not in figures],
        tables={
            "ranking": _table("ranking", _scores_first(study), cell_commands(study)),
            "per_class": _table("classes", tables.per_class(study)),
            "costs": _table("cost", tables.costs(study)),
            "configs": _table("configs", differing.rename_axis("cell").reset_index() if len(differing.columns) else pd.DataFrame()),
            "common": _table("common settings", pd.DataFrame(common.items(), columns=["key", "value"])),
            "class_counts": _table("images of every class", tables.class_counts(study)),
            "runs": _table("runs", tables.runs(study), run_commands(study)),
        },
        data=_with_table(tables.data(study)),
        elsewhere=[_with_table(elsewhere)] if elsewhere else [],
        traces=[(name, error["traceback"]) for name, r in study.results.items() if (error := r.get("error")) and error.get("traceback")],
        themes=htmlsafe_json_dumps(themes()),
        plotly=Markup(get_plotlyjs()),
        css=Markup((TEMPLATES / "report.css").read_text("utf-8")),
        js=Markup((TEMPLATES / "report.js").read_text("utf-8")),
    )


def _scores_first(study):
    """The ranking with the name of the cell and its scores before all else: a phone shows three columns."""
    ranking = tables.ranking(study).assign(cell=study.cells.index).drop(columns="rank")
    scores = [column for column in ranking if column in tables.titles().values() and column not in ("seeds", "s")]
    order = ["cell", *scores, "seeds", "s", *(study.axes if len(study.axes) > 1 else [])]
    return ranking[[column for column in order if column in ranking]]  # nothing done, no scores


def _chart(figure):
    return {"title": figure.title, "caption": figure.caption, "json": Markup(chart_json(figure))}


def _with_table(finding):
    return Finding(finding.title, finding.text, _table(finding.title.lower(), finding.table))


def _table(name, frame, commands=()):
    frame = pd.DataFrame() if frame is None else frame.astype(str)
    columns = [(str(column), all(NUMBER.match(cell) and len(cell) <= MOST_DIGITS for cell in frame[column] if cell)) for column in frame]
    return Table(name, columns, frame.values.tolist(), list(commands))


def _looks():
    """(colour, plotly's dash, SVG's dash) of every line style that can be told from the others."""
    number = len(COLOURS) * len(DASHES["plotly"])
    return [[*look(i, "plotly")[::2], STROKES[i // len(COLOURS)]] for i in range(number)]


def _confusion(study):
    """{cells: [label], counts: [C x C a run, mean over the seeds]} of the cells with the classes of the best one."""
    counts = {label: table for label in study.cells.index if (table := confusion_counts(study, label)) is not None}
    counts = {label: table for label, table in counts.items() if study.classes(label) == study.classes(next(iter(counts)))}
    return {"cells": list(counts), "counts": [(table / len(study.runs[label])).round(2).tolist() for label, table in counts.items()]}


def run_commands(study):
    """The command of each run, in the order of `jobs`; empty if the run did not keep its overrides."""
    return [_command(study, name, study.results[name]["job"].get("overrides")) for name in study.jobs["name"]]


def cell_commands(study):
    """The command of each cell with all its seeds, in the order of `cells`."""
    commands = []
    for label in study.cells.index:
        runs = study.runs[label]
        overrides = study.results[runs["name"].iloc[0]]["job"].get("overrides")
        seeds = f"seed={','.join(map(level_text, runs['seed']))}"
        overrides = overrides and [seeds if override.startswith("seed=") else override for override in overrides]
        commands.append(_command(study, label, overrides, many=len(runs) > 1))
    return commands


def _command(study, name, overrides, many=False):
    """What to type to run it again. A study needs -m, and another folder because the other cells are missing."""
    if overrides is None:
        return ""
    named = any(override.startswith("study=") for override in overrides)
    folder = f"multirun/{study.folder.resolve().name}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"
    parts = ["-m"] if many or named else []
    parts += [*overrides, f"hydra.sweep.dir={folder}"] if named else overrides
    return shlex.join(["python", "-m", "fer_lightning", *parts])
