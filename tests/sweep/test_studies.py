"""Every shipped study: its jobs compose, its published numbers lie on its grid, and it runs."""

import json
import re
import subprocess
import sys
from functools import cache

import pandas as pd
import pytest
import yaml
from helpers.project import CONF, ROOT, compose, options, run_folders
from hydra import initialize_config_dir

from fer_lightning.analysis.published import audit
from fer_lightning.runs.result import read_result
from fer_lightning.sweep.callback import as_shipped
from fer_lightning.sweep.planning import plan

STUDIES = [name for name in options("study") if name != "adhoc"]
SMOKE = ["data=synthetic", "trainer=smoke"]

# Small enough for every test run: few images, and the compact CNN where the backbone is not what the study is about.
FEW = ["data.train=14", "data.val=14", "data.test=14", "logger=csv", "trainer.max_epochs=2"]
SMALL = ["backbone=compact", "backbone.widths=[4,4,8]"]
SHORT = {
    "beit_head_grid": [*SMALL, "head.act=gelu,mish"],
    "cnn_batchnorm": [],
    "efficientnet_sizes": ["backbone=efficientnet_b0", "input_size=32"],
}


def read(name):
    return yaml.safe_load((CONF / "study" / f"{name}.yaml").read_text())


@cache
def jobs(name):
    """What the command of a study would run."""
    return plan([f"study={name}"])


def test_the_tables_of_the_papers_are_there():
    assert {
        "beit_head_grid", "baselines", "cnn_batchnorm", "efficientnet_two_phase", "efficientnet_ablations", "architectures",
        "augmentation_ladder", "optimizers", "schedulers", "batch_dropout_grid", "finetune",
    } <= set(STUDIES)  # fmt: skip


@pytest.mark.parametrize(("name", "number"), [("beit_head_grid", 8), ("architectures", 13), ("cnn_batchnorm", 2)])
def test_number_of_jobs(name, number):
    assert len(jobs(name)) == number


def test_seeds_repeat_every_job():
    cells = [name.removesuffix("s0") for name in jobs("cnn_batchnorm")]
    assert set(plan(["study=cnn_batchnorm", "seed=0,1"])) == {cell + seed for cell in cells for seed in ("s0", "s1")}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_says_what_it_is_and_composes(name):
    study = read(name)["study"]
    assert study["question"] and study["cost"] and study["paper"]
    assert jobs(name)


@pytest.mark.parametrize("name", STUDIES)
def test_the_head_of_a_study_repeats_nothing(name):
    """Name and command follow from the name of the file; question, cost and paper are keys, not comments as well."""
    text = (CONF / "study" / f"{name}.yaml").read_text()
    assert not {"name", "command"} & set(read(name)["study"])
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert f"#   python -m fer_lightning -m study={name}" not in comments
    assert not [line for line in comments if line.startswith(("# Cost:", "# Paper:")) or read(name)["study"]["question"] in line]


@pytest.mark.parametrize("name", STUDIES)
def test_published_numbers_lie_on_the_grid(name):
    body = read(name)
    params = body.get("hydra", {}).get("sweeper", {}).get("params", {})
    grid = {key: [v.strip() for v in str(values).split(",")] for key, values in params.items()}
    assert all(isinstance(values, (str, int, float, bool)) for values in params.values()), "an axis is a string, never a YAML list"
    for entry in body["study"].get("published", []):
        for key, value in entry["cell"].items():
            assert str(value).lower() in [v.lower() for v in grid[key]], (key, value)
        for number in ("train_accuracy", "val_accuracy", "test_accuracy"):
            assert isinstance(entry.get(number, ""), str), "a string keeps the printed decimals"


def test_the_audit_finds_what_the_checklist_found():
    found = " ".join(audit(compose("study=architectures").study) + audit(compose("study=augmentation_ladder").study))
    for number in ("60.33", "60.37", "68.34", "69.23"):  # A.5, S3-48
        assert number in found


def test_study_json_says_what_the_study_itself_sets():
    typed = ["backbone=compact", "++epochs=2", "trainer.max_epochs=3", "seed=1", "backbone.freeze=none", "loss.weights=balanced"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        shipped = as_shipped("beit_head_grid", typed)
    papers = {"backbone": "beit_large", "epochs": "50", "trainer.max_epochs": "50", "backbone.freeze": "all"}
    assert shipped == papers | {"seed": "0", "loss.weights": "none"}


# Of another table, of other papers, or slips of the wording.
IN_NO_LIST = {
    *("S0-48", "S0-50", "S0-54", "S1-31", "S1-32", "S1-33", "S1-34", "S1-35", "S2-43", "S2-51", "S2-52", "S3-53"),
    *("S4-55", "S4-57", "S4-58", "S4-59", "S4-60"),
}


def test_every_doubt_about_a_table_is_in_the_list_of_its_study():
    found = set(re.findall(r"^\| (S\d-\d+) \| doubt \|", (CONF.parent / "docs" / "papers.md").read_text(), re.MULTILINE))
    listed = {doubt.partition(":")[0] for name in STUDIES for doubt in read(name)["study"].get("doubts", [])}
    assert found - listed == IN_NO_LIST


def check(root, name, number):
    folders = run_folders(root)
    assert len(folders) == number and {folder.parent.name for folder in folders} == {name}
    assert all(read_result(folder)["status"] == "done" for folder in folders)
    study = root / "multirun" / name
    assert len(pd.read_csv(study / "results.csv")) == number
    report = (study / "report.md").read_text()
    if json.loads((study / "study.json").read_text())["study"]["published"]:
        assert "Published against measured" in report
        assert re.search("(because of|not comparable:) synthetic data", report) or "Nothing that the paper prints" in report


# The six of eight to fourteen jobs take two thirds of the time, and the grids of heads have 40 and 160. `make test-all` runs all studies,
# with their own networks.
LARGE = (
    *("architectures", "baselines", "batch_dropout_grid", "compact_head_grid", "compact_optimizers"),
    *("compact_schedules", "efficientnet_ablations", "frozen_head_grid", "optimizers", "schedulers"),
)


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in LARGE])
def test_a_study_runs_on_few_images(command, tmp_path, name):
    done = command("-m", f"study={name}", *SMOKE, *FEW, *SHORT.get(name, SMALL))
    assert done.code == 0, done.text
    ledger = json.loads((tmp_path / "multirun" / name / "study.json").read_text())
    assert ledger["study"]["name"] == name
    check(tmp_path, name, len(ledger["jobs"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_runs_as_its_page_says(tmp_path, name):
    (line,) = [line for line in (ROOT / "docs" / "studies.md").read_text().splitlines() if "study=NAME trainer=smoke" in line]
    overrides = line.partition("#")[0].replace("NAME", name).split()[4:]
    done = subprocess.run([sys.executable, "-m", "fer_lightning", "-m", *overrides], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check(tmp_path, name, len(plan(overrides)))
