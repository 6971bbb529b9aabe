"""Links in a folder from a stranger: nothing is read, written or deleted through one."""

import os

import numpy as np
import pytest
from helpers.written_runs import write_grid

from fer_lightning.analysis.markdown import write_latex
from fer_lightning.analysis.study_record import gather
from fer_lightning.figures.matplotlib_files import write_figures
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import TEMPORARY, replace_file, replacing
from fer_lightning.runs.config_files import read_overrides, read_settings, write_config
from fer_lightning.runs.job_states import read_study
from fer_lightning.runs.layout import refuse_links, run_folders
from fer_lightning.training.checkpoints import read_checkpoint


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of the user's own, outside of what the stranger sent, with a file in it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    return folder


@pytest.fixture
def foreign(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    return folder


def test_a_file_replaces_a_link_and_not_what_it_leads_to(foreign, elsewhere):
    (foreign / "report.md").symlink_to(elsewhere / "mine")
    replace_file(foreign / "report.md", "new")
    assert (elsewhere / "mine").read_text() == "mine" and (foreign / "report.md").read_text() == "new"


def test_temporary_names_cannot_be_guessed_and_can_be_told(foreign):
    names = []
    for _ in range(2):
        with replacing(foreign / "result.json") as part:
            names += [path.name for path in foreign.iterdir() if path != foreign / "result.json"]
            part.write_text("x")
    assert len(set(names)) == 2 and all(TEMPORARY.fullmatch(name) for name in names)
    assert not TEMPORARY.fullmatch(".lock") and not TEMPORARY.fullmatch("result.json")


def test_a_temporary_file_that_is_there_already_is_not_written_through(foreign, elsewhere, monkeypatch):
    monkeypatch.setattr("fer_lightning.process.files.uuid4", lambda: type("Known", (), {"hex": "0" * 32}))
    (foreign / f".report.md.{'0' * 32}.tmp").symlink_to(elsewhere / "mine")
    with pytest.raises(OSError):
        replace_file(foreign / "report.md", "new")
    assert (elsewhere / "mine").read_text() == "mine"


@pytest.mark.parametrize("name", ["figures", "latex", ".hydra"])
def test_a_folder_that_is_a_link_is_not_written_to(name, foreign, elsewhere):
    (foreign / name).symlink_to(elsewhere)
    writers = {
        "figures": lambda: write_figures({}, foreign / "figures", "png"),
        "latex": lambda: write_latex([], foreign / "latex"),
        ".hydra": lambda: write_config(foreign, {}, {}, []),
    }
    with pytest.raises(UserError, match=f"{name} is a link, which is not followed"):
        writers[name]()
    assert os.listdir(elsewhere) == ["mine"]


@pytest.mark.parametrize("name", ["checkpoints", ".hydra", "metrics.csv", "checkpoints/last.ckpt", ".lock", "wandb"])
def test_no_job_runs_in_a_folder_with_links(name, foreign, elsewhere):
    refuse_links(foreign)
    (foreign / name).parent.mkdir(exist_ok=True)
    (foreign / name).symlink_to(elsewhere)
    with pytest.raises(UserError, match=f"{name} is a link, which is not followed: remove it"):
        refuse_links(foreign)


@pytest.mark.parametrize("linked", ["folder", "file"])
def test_nothing_is_read_behind_a_link(linked, foreign, elsewhere):
    for name in ("config.yaml", "overrides.yaml", "best.ckpt"):
        (elsewhere / name).write_text("- a\n")
    if linked == "folder":
        (foreign / ".hydra").symlink_to(elsewhere)
        (foreign / "checkpoints").symlink_to(elsewhere)
    else:
        for name in (".hydra/config.yaml", ".hydra/overrides.yaml", "checkpoints/best.ckpt"):
            (foreign / name).parent.mkdir(exist_ok=True)
            (foreign / name).symlink_to(elsewhere / name.partition("/")[2])
    for read in (read_settings, read_overrides):
        with pytest.raises(ValueError, match="behind, a link"):
            read(foreign)
    with pytest.raises(UserError, match="behind, a link"):
        read_checkpoint(foreign / "checkpoints" / "best.ckpt")


def test_a_run_that_is_a_link_is_named_and_left_out(foreign, elsewhere):
    write_grid(foreign, np.random.default_rng(0), pictures=20, seeds=1)
    first = run_folders(foreign)[0]
    first.rename(elsewhere / "private")
    (foreign / "private").symlink_to(elsewhere / "private")
    assert "private" not in [path.name for path in run_folders(foreign)]
    assert "private" not in [job.name for job in read_study(foreign, 0).jobs]
    assert "private is a link, which is not followed: copy the run here." in gather(foreign).missing
