"""The studies that are kept here."""

from functools import cache
from pathlib import Path

from omegaconf import OmegaConf

from fer_lightning.analysis.statistics.findings import study_findings
from fer_lightning.analysis.study_record import gather
from fer_lightning.config.cell_names import plain_level
from fer_lightning.config.groups import CONF

HERE = Path(__file__).parent


def kept(names):
    """Those of some studies that have records here."""
    return [name for name in names if (HERE / name / "study.json").exists()]


@cache
def measured(name):
    """(StudyRecord, StudyStatistics) of a study that is kept here."""
    study = gather(HERE / name)
    return study, study_findings(study.folder, study.jobs, study.ledger["study"], study.never_begun)


def overrides(study, name):
    """{key: value} that a run of a study was started with."""
    return dict(override.split("=", 1) for override in study.results[name]["job"]["overrides"])


@cache
def studies_of_the_papers():
    """{study: its config} of each file of conf/study that says what it costs."""
    configs = {file.stem: OmegaConf.load(file) for file in sorted((CONF / "study").glob("*.yaml"))}
    return {name: cfg for name, cfg in configs.items() if OmegaConf.select(cfg, "study.cost")}


def cell_runs(study, cell):
    """The finished runs of the cells that have some levels, a frame of jobs in the order of the seeds. cell: {axis: level}"""
    rows = study.done
    for axis, level in cell.items():
        rows = rows[rows[axis].map(plain_level) == plain_level(level)]
    return rows.sort_values("seed", key=lambda seeds: seeds.astype(int))
