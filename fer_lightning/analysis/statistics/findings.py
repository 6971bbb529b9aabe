"""The statistics of a study, from its run folders alone: which findings there are, in the order in which they are read.

docs/statistics.md says what is computed, and where each method comes from.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fer_lightning.analysis.finding import Finding, Verdict
from fer_lightning.analysis.statistics.against_reference import reference_finding
from fer_lightning.analysis.statistics.calibration import calibration_finding
from fer_lightning.analysis.statistics.cell_scores import cells_finding, describe_cells
from fer_lightning.analysis.statistics.contrasts import roles
from fer_lightning.analysis.statistics.correctness import NO_ANSWERS, read_answers
from fer_lightning.analysis.statistics.descriptive import logit
from fer_lightning.analysis.statistics.for_a_paper import paper_finding
from fer_lightning.analysis.statistics.included_runs import runs_finding
from fer_lightning.analysis.statistics.interaction_verdict import untested
from fer_lightning.analysis.statistics.layout import layout
from fer_lightning.analysis.statistics.many_cells import leader, ranked_findings
from fer_lightning.analysis.statistics.secondary_scores import secondary_finding
from fer_lightning.analysis.statistics.two_axes import crossed_findings
from fer_lightning.analysis.wording import listed, percent, percent_interval, seeds_text
from fer_lightning.config.registered_analysis import registered

CONTRASTS = ["kind", "name", "n", "estimate", "low", "high", "p", "p_holm"]


@dataclass(frozen=True)
class StudyStatistics:
    """verdict:   the one conclusion
    findings:  in the order in which they are read, the conclusion first
    cells:     see `describe_cells`; fractions
    contrasts: a row each: kind (difference of gains | gain | gain on clean images | first | reference), name, n, estimate, low, high, p,
               p_holm; fractions, interval and p_holm adjusted within the kind
    chances:   see `outlook`; None if the study has no interaction to judge
    reliability: (cell, curves), of the first cell, see `Calibration`; None if it is not known
    """

    verdict: Verdict
    findings: list[Finding]
    cells: pd.DataFrame
    contrasts: pd.DataFrame
    chances: pd.DataFrame | None = None
    reliability: tuple | None = None


def study_findings(folder, jobs, study, never=()):
    """The StudyStatistics of a study folder.

    jobs: frame of `make_jobs`; study: the study node of study.json; never: names of the planned jobs that have no record

    ConfigError if the study registers an analysis that is not known.
    """
    analysis = registered(study)
    design = layout(jobs, analysis.outcome)
    outcome = design.table(design.outcome)
    if np.isnan(outcome).all():
        verdict = Verdict(None, "No run has a score yet.")
        runs = runs_finding(design, analysis.outcome, NO_ANSWERS, never)
        return StudyStatistics(verdict, [Finding("Conclusion", (verdict.paragraph,)), runs], pd.DataFrame(), _contrasts({}))
    answers = read_answers(folder, design.done["name"].to_list(), design.part)
    images = design.table(f"{design.part}_n")
    if answers.right is not None:
        images = np.where(np.isnan(images), answers.right.shape[1], images)
    scores = {"outcome": outcome, "logit": logit(outcome, images), "validation": design.table("val_accuracy"), "images": images}
    scores |= {"clean": design.table(f"{design.part}_accuracy_clean"), "near": design.table(f"{design.part}_accuracy_clean_near")}
    right = _placed(design, answers.right)
    clean = None if right is None or answers.clean is None else right[:, :, answers.clean]
    verdict, findings, frames, chances = _tested(design, scores, analysis, right, clean=clean)
    cells = describe_cells(design, scores, images)
    leads = leader(scores)
    opening = [
        Finding("Conclusion", (verdict.paragraph, _lead(design, cells, leads))),
        runs_finding(design, analysis.outcome, answers, never),
        cells_finding(design, cells, first=leads.first, images=images, answers=answers),
    ]
    calibration, curves = calibration_finding(design, answers.calibrations)
    paper = paper_finding(design, scores, cells, verdict=verdict, analysis=analysis, common=answers.right is not None)
    found = [_without_blanks(finding) for finding in (*opening, *findings, calibration, paper) if finding is not None]
    name = design.name(design.cells[leads.first])
    return StudyStatistics(verdict, found, cells, _contrasts(frames), chances, (name, curves[name]) if name in curves else None)


def _tested(design, scores, analysis, right, *, clean):
    """(Verdict, [Finding or None], {kind: frame of `contrast_tests`}, frame of `outlook` or None): what the layout of the study allows.

    right: of `_placed`; clean: the same of the images without a twin
    """
    chances = None
    empty = [design.name(cell) for cell, none in zip(design.cells, np.isnan(scores["outcome"]).all(0)) if none]
    if design.crossed and not empty:
        verdict, findings, frames, chances = crossed_findings(design, scores, analysis, right, clean=clean)
    else:
        verdict, findings, frames = ranked_findings(design, scores, analysis, right)
    if design.crossed and empty:
        reason = f"it takes a run in every cell, and there is none in {listed(empty)}"
        settle = "What would settle it: runs in every cell, with at least two seeds."
        verdict = untested(reason, roles(design, analysis.reference), settle)
    if len(design.cells) > 1:
        against, frames["reference"] = reference_finding(design, scores, analysis, right)
        findings += [against, secondary_finding(design)]
    return verdict, findings, frames, chances


def _placed(design, right):
    """right (runs, images) as (blocks, cells, images); None if there is nothing to pair: one block, or blocks with few runs."""
    blocks, cells = len(design.blocks), len(design.cells)
    if right is None or blocks < 2 or cells < 2 or 2 * len(right) < blocks * cells:
        return None
    placed = np.zeros((blocks, cells, right.shape[1]), bool)
    placed[design.done["block"], design.done["cell"]] = right
    return placed


def _lead(design, cells, leads):
    """Sentences on the cell that is first. cells: of `describe_cells`; leads: a Leader"""
    row, name = cells.loc[leads.first], f"{design.name(design.cells[leads.first])}{leads.tie(design)}"
    score = {"test": "test accuracy", "val": "validation accuracy"}[design.part]
    clean = f", {percent(row['clean_mean'])} % on clean images" if "clean_mean" in row and not np.isnan(row["clean_mean"]) else ""
    bounds = percent_interval(row["low"], row["high"])
    interval = f" (95 % interval {bounds})" if bounds else ""
    return f"First by {leads.how} is {name}. Its {score} is {percent(row['mean'])} % over {seeds_text(row['n'])}{interval}{clean}."


def _without_blanks(finding):
    """The finding without the empty columns of its table, such as the p values of a single seed."""
    table = finding.table
    return finding if table is None else replace(finding, table=table.loc[:, (table.astype(str) != "").any()])


def _contrasts(frames):
    parts = [frame.assign(kind=kind)[CONTRASTS] for kind, frame in frames.items() if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CONTRASTS)
