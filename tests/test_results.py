"""What results/ says is what the records in it say."""

import shutil
from importlib import import_module

import pytest
from helpers.project import ROOT

RESULTS = ROOT / "results"
STUDIES = sorted((path.parent for path in RESULTS.glob("*/study.json")), key=lambda folder: len(list(folder.iterdir())))


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(RESULTS)
    return import_module("page")


def test_the_page_is_what_the_records_say(page, command):
    assert command("--check", main=page.main).code == 0


def test_a_page_that_says_something_else_is_noticed(page, command, tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text((RESULTS / "README.md").read_text().replace("1", "2"))
    monkeypatch.setattr(page, "PAGE", tmp_path / "README.md")
    assert command("--check", main=page.main).code == 1


@pytest.mark.skipif(not STUDIES, reason="no study is measured yet")
def test_the_report_of_the_smallest_is_rebuilt_from_its_records(command, tmp_path):
    from fer_lightning.report import main

    study = shutil.copytree(STUDIES[0], tmp_path / STUDIES[0].name)
    done = command(str(study), main=main)
    assert done.code == 0 and "is missing" not in done.text and "damaged" not in done.text
    assert (study / "report.html").exists() and "Ranking by validation accuracy" in (study / "report.md").read_text()


def test_the_records_name_no_machine():
    for path in RESULTS.glob("*/*/result.json"):
        assert "/root/" not in path.read_text() and "/home/" not in path.read_text(), path


@pytest.mark.skipif(not (RESULTS / "frozen_head_rates").exists(), reason="the pilot has not been measured")
def test_the_rates_of_the_frozen_grid_are_those_that_the_pilot_chose(page):
    """Also where the best of the three is the largest or the smallest."""
    from hydra import compose, initialize_config_dir

    from fer_lightning.analysis.study_record import gather
    from fer_lightning.config.groups import CONF

    for (act, norm), rate in page.chosen(gather(RESULTS / "frozen_head_rates")).items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", ["study=frozen_head_grid", f"head.act={act}", f"head.norm={norm}"])
        assert cfg.optimizer.lr == pytest.approx(rate), (act, norm)
