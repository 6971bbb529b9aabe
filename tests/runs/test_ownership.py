"""What this program did not write is never replaced or removed, and a finished run is not replaced by another one."""

import pytest
from helpers.project import ROOT, TINY, compose

from fer_lightning.config.identity import job_id, training_config
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.config_files import write_config
from fer_lightning.runs.layout import clear, drop_left_overs, drop_unfinished
from fer_lightning.runs.ownership import check_replaced, check_run_folder, check_study_folder
from fer_lightning.runs.result import write_result
from fer_lightning.runs.study_file import write_ledger


@pytest.fixture(scope="module")
def config():
    return compose(*TINY)


@pytest.fixture(scope="module")
def other():
    return compose(*TINY, "seed=1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def write_run(folder, config, status="done", study=None):
    folder.mkdir(exist_ok=True)
    write_config(folder, config, {}, [])
    job = {"id": job_id(config), "study": study, "cell": {}, "seed": config.seed, "overrides": []}
    write_result(folder, {"status": status, "job": job})
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / ("best.ckpt" if status == "done" else "last.ckpt")).write_text("weights")


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def content(folder):
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


FOREIGN = {
    "results of another program": ["metrics.csv", "checkpoints/precious.pth"],
    "predictions": ["predictions.parquet"],
    "a record of another program": ["result.json"],
    "another program of Hydra's": [".hydra/config.yaml", ".hydra/hydra.yaml", "train.log"],
    "a home folder": [".bashrc", ".ssh/id"],
    "data": ["train/angry/1.png"],
    "notes deep below": ["a/b/c/notes.txt"],
}


@pytest.mark.parametrize("names", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_with_other_files_is_refused_for_a_run_and_for_a_study(folder, config, names):
    put(folder, *names)
    before = content(folder)
    with pytest.raises(ConfigError, match="holds something else than a run of this program.*hydra.run.dir=outputs/NAME"):
        check_run_folder(folder, training_config(config))
    with pytest.raises(ConfigError, match="holds something else than a sweep of this program.*hydra.sweep.dir=multirun/NAME"):
        check_study_folder(folder, {}, [], [])
    assert content(folder) == before


def test_a_checkout_is_refused(config):
    with pytest.raises(ConfigError, match="holds something else than a run"):
        check_run_folder(ROOT, training_config(config))


def test_a_new_folder_an_empty_one_and_what_a_job_leaves_in_its_first_moments_are_taken(folder, config):
    check_run_folder(folder / "new" / "deep", training_config(config))
    (folder / "checkpoints").mkdir()
    check_run_folder(folder, training_config(config))
    check_study_folder(folder, {}, [], ["s0"])
    put(folder, ".lock", "fer_lightning.log", ".hydra/.config.yaml.0123abcd.tmp")
    check_run_folder(folder, training_config(config))


def test_the_same_run_is_taken_whatever_else_lies_there(folder, config):
    write_run(folder, config)
    put(folder, "notes.txt", "figures/mine.png")
    check_run_folder(folder, training_config(config))


def test_a_record_cut_off_is_ours_by_its_config(folder, config):
    write_run(folder, config, "interrupted")
    (folder / "result.json").write_text('{"status": "inter')
    check_run_folder(folder, training_config(config))


@pytest.mark.parametrize("status, kind", [("done", "a finished run"), ("interrupted", "a run that can be continued, but")])
def test_a_run_with_other_settings_is_refused_with_the_difference(folder, config, other, status, kind):
    write_run(folder, other, status)
    with pytest.raises(ConfigError, match=rf"holds {kind} with other settings \(seed: 1 there, 0 now\)"):
        check_run_folder(folder, training_config(config))


def test_what_has_nothing_to_lose_is_replaced(folder, config, other):
    write_run(folder, other, "failed")
    (folder / "checkpoints" / "last.ckpt").unlink()
    check_run_folder(folder, training_config(config))
    write_run(folder, other, "interrupted")
    check_run_folder(folder, training_config(config), finished_only=True)  # a job of a sweep: its study has been removed by hand


def test_a_run_is_no_study_and_a_study_no_run(folder, config):
    write_run(folder, config)
    with pytest.raises(ConfigError, match="holds a run"):
        check_study_folder(folder, {}, [], [])
    (folder / "result.json").unlink()
    write_ledger(folder, {"study": {}, "axes": [], "jobs": [], "base": {}, "command": []})
    with pytest.raises(ConfigError, match="holds a study"):
        check_run_folder(folder, training_config(config))


def test_links_are_not_followed(folder, config, tmp_path):
    write_run(folder, config, "interrupted")
    put(tmp_path / "elsewhere", "last.ckpt")
    (folder / "checkpoints" / "last.ckpt").unlink()
    (folder / "checkpoints").rmdir()
    (folder / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="checkpoints is a link"):
        check_run_folder(folder, training_config(config))
    (tmp_path / "to nothing").symlink_to(tmp_path / "nowhere")
    put(tmp_path, "file")
    (tmp_path / "to the home").symlink_to(tmp_path)
    for name, sentence in (("to nothing", "is a link to nothing"), ("file", "is a file"), ("to the home", "holds something else")):
        with pytest.raises(ConfigError, match=sentence):
            check_run_folder(tmp_path / name, training_config(config))


def test_a_study_without_its_ledger_is_taken_again_unless_something_would_be_lost(folder, config, other):
    write_run(folder / "s0", config, study="s")
    base = training_config(config, ["seed"])
    check_study_folder(folder, base, ["seed"], ["s0"])
    with pytest.raises(ConfigError, match=r"s0 holds a finished run with other settings \(optimizer.lr: 0.1 there, 0.2 now\)"):
        check_study_folder(folder, base | {"optimizer.lr": 0.2}, ["seed"], ["s0"])
    put(folder, "report.md")
    with pytest.raises(ConfigError, match=r"report\.md is not of this program"):
        check_study_folder(folder, base, ["seed"], ["s0"])


def test_single_runs_beside_a_report_are_no_study(folder, config):
    write_run(folder / "exp", config)
    put(folder, "report.md")
    with pytest.raises(ConfigError, match="holds something else than a sweep"):
        check_study_folder(folder, {}, [], [])


def test_a_users_folder_in_the_place_of_a_job_is_refused_before_the_first_job(folder, config):
    write_ledger(folder, {"study": {}, "axes": ["seed"], "jobs": [["seed=0"]], "base": {}, "command": []})
    put(folder / "s0", "metrics.csv")
    with pytest.raises(ConfigError, match="s0 holds something else than a run"):
        check_study_folder(folder, {}, ["seed"], ["s0"])


@pytest.mark.parametrize("name", ["report.md", "report.html", "results.csv"])
def test_a_report_replaces_reports_only(folder, name):
    put(folder, name)
    with pytest.raises(ConfigError, match=f"{name} is not of this program"):
        check_replaced(folder)
    (folder / name).unlink()
    (folder / name).symlink_to(folder / "elsewhere")
    with pytest.raises(ConfigError, match=f"{name} is not of this program"):
        check_replaced(folder)


def test_only_checkpoints_of_ours_are_removed(folder, config):
    write_run(folder, config, "interrupted")
    put(folder, "checkpoints/best-whole.ckpt", "checkpoints/best.ckpt", "checkpoints/precious.pth", "checkpoints/old/last.ckpt")
    put(folder, "predictions_ten_crop.parquet", "predictions_mine.parquet")
    drop_unfinished(folder)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "precious.pth", "old"}
    clear(folder)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"precious.pth", "old"}
    assert not (folder / "result.json").exists() and not (folder / "predictions_ten_crop.parquet").exists()
    assert (folder / "predictions_mine.parquet").exists()


def test_half_written_files_of_ours_go_and_nothing_else(folder):
    ours = [".result.json.4711", ".result.json.0123abcd.tmp", ".hydra/.config.yaml.x7_Q2wvn.tmp"]
    ours += [".predictions_ten_crop.parquet.0123abcd.tmp"]
    ours += [f"checkpoints/.last.ckpt.{'0a' * 16}", "checkpoints/.best-whole.ckpt.0123abcd.tmp"]
    theirs = [".notes.md.4711", ".result.json.swp", ".result.json.bak.tmp", "result.json.0123abcd.tmp", ".lock", "checkpoints/.m.pth.1"]
    put(folder, *ours, *theirs)
    drop_left_overs(folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {*theirs}


# By the command: nothing is written, and no job has begun.


@pytest.mark.parametrize("arguments", [["hydra.run.dir=."], ["-m", "hydra.sweep.dir=."], ["-m", "hydra.sweep.dir=link"]])
def test_the_users_own_files_stay(command, tmp_path, arguments):
    put(tmp_path, "metrics.csv", "report.md", "results.csv", "multirun.yaml", "checkpoints/precious.pth")
    (tmp_path / "link").symlink_to(tmp_path)
    before = content(tmp_path)
    done = command(*arguments, *TINY)
    assert done.code == 1 and "holds something else than a " in done.text and "Traceback" not in done.text
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["hydra.sweep.subdir=run"], "hydra.sweep.subdir=run gives jobs 1 and 2 one folder, run."),
        (["hydra.sweep.subdir=."], "is no plain name"),
        (["hydra.sweep.subdir=a/${seed}"], "a/0 is no plain name"),
        (["optimizer.lr=0.1,0.10"], "are the same (seed=0 data=synthetic optimizer.lr=0.1"),
        (["seed=3,3"], "are the same (seed=3"),
    ],
)
def test_two_jobs_never_share_a_folder(command, tmp_path, arguments, sentence):
    done = command("-m", "seed=0,1", *TINY[:1], *arguments)
    assert done.code == 1 and sentence in done.text and "Traceback" not in done.text, done.text
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize("refused", [["study=optimizers"], ["hydra.run.dir=outputs/../../x"]])
def test_a_run_that_is_refused_leaves_no_folder(command, tmp_path, refused):
    assert command(*refused).code == 1
    assert not list(tmp_path.iterdir())
