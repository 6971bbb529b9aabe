"""Run folders and reports call a cell by the same name."""

import pytest
from helpers.project import TINY, compose
from omegaconf import OmegaConf

from fer_lightning.analysis.statistics.layout import layout
from fer_lightning.analysis.study_record import gather
from fer_lightning.config.cell_names import safe_name
from fer_lightning.runs.result import write_result
from fer_lightning.sweep.overrides import cell_values, job_name

SWEEPS = {
    "numbers": (["optimizer.lr=1e-3", "optimizer.lr=0.25", "optimizer.lr=1", "optimizer.lr=12"], ["lr0.001", "lr0.25", "lr1", "lr12"]),
    "whole numbers with a point": (["head.dropout=0.0", "head.dropout=0.5"], ["dropout0", "dropout0.5"]),
    "nulls": (["patience=null", "patience=3"], ["patienceNone", "patience3"]),
    "truth values": (["compile=true", "compile=false"], ["compileTrue", "compileFalse"]),
    "words that are no options": (["loss.weights=balanced", "loss.weights=none"], ["weightsbalanced", "weightsnone"]),
    "options of groups": (["head.act=relu", "head.act=leaky_relu"], ["relu", "leaky_relu"]),
    "an option that is called none": (["head.norm=none", "head.norm=bn"], ["none", "bn"]),
    "lists": (["backbone.widths=[8,8,16]", "backbone.widths=[4,4,8]"], ["widths[8, 8, 16]", "widths[4, 4, 8]"]),
    "two groups": (["head.act=relu head.norm=bn", "head.act=gelu head.norm=none"], ["relu-bn", "gelu-none"]),
    "two keys with the same last word": (
        ["protocol=k_fold data.seed=1 protocol.seed=2", "protocol=k_fold data.seed=3 protocol.seed=4"],
        ["k_fold-data.seed1-protocol.seed2", "k_fold-data.seed3-protocol.seed4"],
    ),
}


@pytest.mark.parametrize("kind", SWEEPS)
def test_a_report_names_cells_as_folders_are_named(kind, tmp_path):
    jobs, names = SWEEPS[kind]
    expected = {}
    for job, name in zip(jobs, names, strict=True):
        config = compose(*TINY, *job.split(), return_hydra_config=True)
        cfg = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
        axes = [override.partition("=")[0] for override in job.split()]
        choices = config.hydra.runtime.choices
        folder = job_name(cfg, choices, [*axes, "seed"])
        assert folder == safe_name(f"{name}-s0")
        description = {"id": "x", "study": "s", "cell": cell_values(cfg, choices, axes), "seed": 0, "overrides": job.split()}
        (tmp_path / folder).mkdir()
        result = {"status": "done", "job": description, "protocol": "k_fold_ferplus", "metrics": {"val": {"accuracy": 0.5}}}
        write_result(tmp_path / folder, result)
        expected[folder] = name
    study = gather(tmp_path)
    assert dict(zip(study.jobs["name"], study.labels, strict=True)) == expected and set(study.cells.index) == set(names)
    if kind != "two keys with the same last word":  # its axes are blocks of the statistics
        design = layout(study.jobs, "val_accuracy")
        assert {design.name(design.cells[cell]) for cell in design.jobs["cell"]} == set(names)
