"""Which run of a study is used, and what is said of the choice."""

import numpy as np
import pytest
from helpers.written_runs import write_run

from fer_lightning.analysis.best_run import best_run
from fer_lightning.process.errors import UserError
from fer_lightning.runs.result import read_result, write_result


def right(share):
    return np.arange(100) < 100 * share


def without_validation(run):
    result = read_result(run)
    write_result(run, result | {"metrics": result["metrics"] | {"val": None}})


def test_validation_chooses_the_cell_and_the_seed(tmp_path):
    for act, seed, share in (("gelu", 0, 0.5), ("gelu", 1, 0.6), ("relu", 0, 0.7), ("relu", 1, 0.2)):
        write_run(tmp_path, {"head.act": act}, seed, right(share))
    run, why = best_run(tmp_path)
    assert run.name == "gelu-s1" and why == f"Best cell of {tmp_path} by validation: gelu. Its best run: gelu-s1, 60.00 %."
    assert best_run(run) == (run, "")


def test_without_a_validation_part_the_test_part_chooses_no_seed_and_the_sentence_says_what_it_chose(tmp_path):
    for act, seed, share in (("gelu", 0, 0.5), ("gelu", 1, 0.6), ("relu", 0, 0.3)):
        without_validation(write_run(tmp_path, {"head.act": act}, seed, right(share)))
    run, why = best_run(tmp_path)
    assert run.name == "gelu-s0" and "validation part, so test accuracy chose the cell, gelu" in why and "by validation" not in why


def test_a_study_without_a_finished_run_is_refused(tmp_path):
    write_run(tmp_path, {"head.act": "gelu"}, 0, status="failed")
    with pytest.raises(UserError, match="none of its runs is done yet"):
        best_run(tmp_path)
