"""The command as a user types it: single runs, sweeps, wrong input. Everything for real, on a few drawn faces."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.project import CONF, TINY, run_folders, squeeze

from fer_lightning.analysis.job_table import make_jobs
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.predictions import part_of, probabilities, read_predictions
from fer_lightning.runs.result import read_result
from fer_lightning.training.module import FERModule

TRAINING_STEP = FERModule.training_step
GRID = ["head.act=relu,gelu,swish,mish", "head.norm=none,bn"]


def inspect_wandb(folder):
    """The records of the offline W&B run of a run folder, read back by W&B's own tool."""
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    tool = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    done = subprocess.run(tool, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_run_leaves_a_whole_record(command, tmp_path):
    done = command(*TINY)
    assert done.code == 0, done.text
    assert "epoch 2/2" in done.text and "test accuracy" in done.text
    (folder,) = run_folders(tmp_path)
    result = read_result(folder)
    assert (result["status"], result["protocol"], result["data"]["verdict"]) == ("done", "official", "synthetic")
    assert {part: sum(counts.values()) for part, counts in result["data"]["counts"].items()} == {"train": 96, "val": 32, "test": 32}
    assert set(result["metrics"]["val"]) <= set(result["metrics"]["test"])
    assert result["metrics"]["test"]["n"] == 32 and sum(map(sum, result["metrics"]["test"]["confusion"])) == 32
    assert result["model"]["trainable"] == result["model"]["parameters"] > 0 and result["model"]["flops"] > 0
    assert result["time"]["images_per_s"] > 0 and result["environment"]["torch"] == torch.__version__.split("+")[0]
    assert [row["epoch"] for row in read_metrics(folder)] == [0, 1]
    assert {"val/accuracy", "train/loss", "lr"} <= set(read_metrics(folder)[0])

    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert list(predictions) == ["row", "split", "label", "clean", *(f"p{c}" for c in range(7))]
    assert predictions["split"].value_counts().to_dict() == {"val": 32, "test": 32}
    test = predictions[predictions["split"] == "test"]
    hits = test[[f"p{c}" for c in range(7)]].to_numpy().argmax(1) == test["label"].to_numpy()
    assert hits.mean() == pytest.approx(result["metrics"]["test"]["accuracy"])

    config = yaml.safe_load((folder / ".hydra" / "config.yaml").read_text())
    assert config["backbone"]["widths"] == [8, 8, 16]
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["best.ckpt"]  # there is nothing to go on with


def test_several_views_and_a_timed_pass_stand_beside_the_single_crop(command, tmp_path):
    done = command(*TINY, "logger=csv", "evaluation=ten_crop", "timed_passes=2", "augment=four_stage_vgg")
    assert done.code == 0, done.text
    result = read_result(run_folders(tmp_path)[0])
    assert {"accuracy", "accuracy_clean", "accuracy_ten_crop", "accuracy_ten_crop_clean"} <= set(result["metrics"]["test"])
    for part, ungiven in (("test", {"n", "n_clean"}), ("val", set())):
        scores = result["metrics"][part]
        names = {name for name in scores if "ten_crop" not in name} - ungiven
        assert {name.replace("_ten_crop", "") for name in scores if "ten_crop" in name} == names
        frame = part_of(read_predictions(run_folders(tmp_path)[0], "ten_crop"), part)
        answers, labels = probabilities(frame), frame["label"].to_numpy()
        hits = answers.argmax(1) == labels
        assert hits.mean() == pytest.approx(scores["accuracy_ten_crop"])
        assert (answers.argsort(1)[:, -2:] == labels[:, None]).any(1).mean() == pytest.approx(scores["top2_ten_crop"])
    counts = np.array(result["metrics"]["test"]["confusion_ten_crop"])
    test = part_of(read_predictions(run_folders(tmp_path)[0], "ten_crop"), "test")
    assert np.array_equal(counts.sum(1), np.bincount(test["label"], minlength=7))
    assert np.array_equal(counts.sum(0), np.bincount(probabilities(test).argmax(1), minlength=7))
    assert make_jobs({"run": result})["test_macro_f1_ten_crop"].item() == result["metrics"]["test"]["macro_f1_ten_crop"]
    assert result["time"]["test_pass_ms"] > 0 and result["time"]["passes"] == 2 and result["time"]["device"] in ("cpu", "cuda")


@pytest.mark.parametrize(("protocol", "without"), [("train_plus_one_test", "test"), ("swapped_merged", "val")])
def test_several_views_of_a_protocol_that_lacks_a_part(command, tmp_path, protocol, without):
    done = command(*TINY, "logger=csv", "evaluation=flip", f"protocol={protocol}")
    assert done.code == 0, done.text
    metrics = read_result(run_folders(tmp_path)[0])["metrics"]
    (scored,) = {"val", "test"} - {without}
    assert metrics[without] is None and "macro_f1_flip" in metrics[scored]


def test_what_is_asked_for_beside_the_training_is_measured_on_a_finished_run(command, tmp_path):
    asked = [*TINY, "logger=csv", "evaluation=flip", "precision=bf16-mixed"]
    assert command(*asked, "timed_passes=2", "near_twins=0.94", "hydra.run.dir=at_once").code == 0
    assert command(*asked, "hydra.run.dir=later").code == 0
    before = read_result(tmp_path / "later")
    weights = (tmp_path / "later" / "checkpoints" / "best.ckpt").read_bytes()
    done = command(*asked, "timed_passes=2", "near_twins=0.94", "hydra.run.dir=later")
    assert done.code == 0 and "already done" in done.text and "timed_passes and near_twins measured for it" in done.text
    later, at_once = (read_result(tmp_path / name) for name in ("later", "at_once"))
    assert later["metrics"]["test"] == at_once["metrics"]["test"] and "accuracy_flip_clean_near" in later["metrics"]["test"]
    timed = ("device", "batch", "passes", "warm_up_batches", "low_precision")
    assert [later["time"][key] for key in timed] == [at_once["time"][key] for key in timed] and later["time"]["test_pass_ms"] > 0
    assert later["data"] == at_once["data"]
    assert later["environment"] == before["environment"] and later["time"]["fit_s"] == before["time"]["fit_s"]
    assert (tmp_path / "later" / "checkpoints" / "best.ckpt").read_bytes() == weights
    again = command(*asked, "timed_passes=2", "near_twins=0.94", "hydra.run.dir=later")
    assert "already done" in again.text and "measured" not in again.text
    (tmp_path / "later" / "checkpoints" / "best.ckpt").unlink()
    lost = command(*asked, "timed_passes=3", "near_twins=0.94", "hydra.run.dir=later")
    assert lost.code == 0 and "not measured: " in lost.text and "were removed" in lost.text and "Traceback" not in lost.text


def test_the_last_epoch_is_tested_if_it_is_asked_for(command, tmp_path):
    """S1-17, S4-46. At this rate the last epoch is not the best one; early stopping and the averaged weights stay as they are."""
    asked = ["trainer.max_epochs=6", "data.val=200", "optimizer.lr=1.0", "patience=2"]
    for select in ("last", "best"):
        assert command(*TINY, *asked, f"select={select}", f"hydra.run.dir={select}").code == 0
    last, best = (read_result(tmp_path / select) for select in ("last", "best"))
    row = read_metrics(tmp_path / "last")[-1]
    assert read_metrics(tmp_path / "best")[-1]["val/loss"] == row["val/loss"]
    assert last["selected"] == {"epoch": row["epoch"], "monitor": "val/accuracy", "value": row["val/accuracy"]}
    assert last["metrics"]["val"]["accuracy"] == pytest.approx(row["val/accuracy"]) and best["selected"]["epoch"] < row["epoch"]
    assert last["metrics"]["train"]["loss"] == row["train/loss"]
    assert torch.load(tmp_path / "last" / "checkpoints" / "best.ckpt", weights_only=True)["epoch"] == row["epoch"]
    assert last["job"]["id"] != best["job"]["id"]
    refused = command(*TINY, "select=first", "hydra.run.dir=first")
    assert refused.code == 1 and "select=first: choose best or last." in refused.text


def test_the_tested_weights_are_those_that_were_selected(command, tmp_path):
    """Averaged weights are what validation saw; a checkpoint of the weights before averaging would score otherwise."""
    assert command(*TINY, "trainer.max_epochs=4", "data.val=200").code == 0
    (folder,) = run_folders(tmp_path)
    result = read_result(folder)
    rows = read_metrics(folder)
    best = max(rows, key=lambda row: row["val/accuracy"])
    assert result["selected"] == {"epoch": best["epoch"], "monitor": "val/accuracy", "value": best["val/accuracy"]}
    assert result["metrics"]["val"]["accuracy"] == pytest.approx(best["val/accuracy"])
    assert result["metrics"]["val"]["loss"] == pytest.approx(best["val/loss"], rel=1e-4)


def test_equal_seeds_give_equal_results(command, tmp_path):
    for seed in (0, 0, 1):
        assert command(*TINY, f"seed={seed}", "logger=csv", f"hydra.run.dir=r{len(run_folders(tmp_path))}").code == 0
    first, second, third = (read_result(tmp_path / f"r{i}")["metrics"] for i in range(3))
    assert first == second != third


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The 8-cell grid, in a process of its own, once for the tests below."""
    root = tmp_path_factory.mktemp("grid")
    cmd = [sys.executable, "-m", "fer_lightning", "-m", *GRID, *TINY]
    done = subprocess.run(cmd, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stdout + done.stderr


def test_the_grid_ends_in_a_ranking(grid):
    root, text = grid
    (study,) = (root / "multirun").iterdir()
    names = {f"{act}-{norm}-s0" for act in ("relu", "gelu", "swish", "mish") for norm in ("none", "bn")}
    assert {path.name for path in run_folders(study)} == names
    assert all(read_result(study / name)["status"] == "done" for name in names)
    table = pd.read_csv(study / "results.csv")
    assert len(table) == 8 and set(table["status"]) == {"done"}
    assert set(zip(table["head.act"], table["head.norm"].fillna("none"))) == {tuple(name.split("-")[:2]) for name in names}
    assert "8 of 8 jobs done" in (study / "report.md").read_text()
    assert "job 8/8" in text and "ETA" in text and "8 of 8 jobs done" in text
    assert json.loads((study / "study.json").read_text())["axes"] == ["head.act", "head.norm"]


def of_type(records, kind):
    return [record[kind] for record in records if record["type"] == kind]


def test_each_job_has_a_wandb_run_of_its_own(grid):
    root, _ = grid
    ids = set()
    for folder in run_folders(root):
        records = inspect_wandb(folder)
        (run,) = of_type(records, "run")
        ids.add(run["run_id"])
        assert (run["display_name"], run["run_group"], run["job_type"]) == (folder.name, folder.parent.name, "train")
        assert of_type(records, "exit")[0]["exit_code"] == 0
    assert len(ids) == 8


def fails(self, batch, batch_idx):
    """A training step that fails unless a batch has 32 images."""
    if len(batch[2]) != 32:
        raise ArithmeticError("out of luck")
    return TRAINING_STEP(self, batch, batch_idx)


def test_a_failed_job_closes_its_wandb_run_as_failed(command, tmp_path, monkeypatch):
    monkeypatch.setattr(FERModule, "training_step", fails)
    done = command("-m", "seed=0,1", *TINY, "batch_size=16")
    assert done.code == 1 and "0 of 2 jobs done" in done.text
    folders = run_folders(tmp_path)
    assert len(folders) == 2 and {read_result(folder)["status"] for folder in folders} == {"failed"}
    assert {of_type(inspect_wandb(folder), "exit")[0]["exit_code"] for folder in folders} == {1}


def test_the_same_command_again_keeps_what_is_done(grid, command, monkeypatch):
    root, _ = grid
    monkeypatch.chdir(root)
    before = {folder: (folder / "result.json").read_bytes() for folder in run_folders(root)}
    victim = next(iter(before))
    shutil.rmtree(victim)
    done = command("-m", *GRID, *TINY)
    assert done.code == 0 and done.text.count("already done") == 7 and "8 of 8 jobs done" in done.text
    assert "ETA" not in done.text, "jobs that took no time say nothing of how long one takes"
    assert read_result(victim)["metrics"] == json.loads(before.pop(victim))["metrics"]
    assert all((folder / "result.json").read_bytes() == content for folder, content in before.items())


def test_seeds_repeat_cells(command, tmp_path):
    done = command("-m", "seed=0,1", "head.act=relu,gelu", *TINY, "logger=csv")
    assert done.code == 0, done.text
    assert {folder.name for folder in run_folders(tmp_path)} == {"relu-s0", "relu-s1", "gelu-s0", "gelu-s1"}
    (study,) = (tmp_path / "multirun").iterdir()
    assert "±" in (study / "report.md").read_text()


def test_a_failing_job_leaves_the_others(command, tmp_path):
    done = command("-m", "optimizer.lr=0.1,fast", *TINY, "logger=csv")
    assert done.code == 1 and "1 of 2 jobs done" in done.text and "Traceback" not in done.text
    (study,) = (tmp_path / "multirun").iterdir()
    failed = read_result(study / "lrfast-s0")
    assert failed["status"] == "failed" and "optimizer.lr=fast: wants float" in failed["error"]["message"]
    assert read_result(study / "lr0.1-s0")["status"] == "done"
    assert "optimizer.lr=fast" in (study / "report.md").read_text()


def test_an_unforeseen_error_is_recorded_with_its_trace(command, tmp_path, monkeypatch):
    monkeypatch.setattr(FERModule, "training_step", fails)
    done = command("-m", "batch_size=32,16", *TINY[:5], TINY[6], "logger=csv")
    assert done.code == 1 and "1 of 2 jobs done" in done.text
    failed = read_result(next((tmp_path / "multirun").glob("*/*16-s0")))
    assert failed["status"] == "failed" and failed["error"]["type"] and "Traceback" in failed["error"]["traceback"]


@pytest.mark.parametrize(
    "axis",
    [
        "backbone.widths=[4,8],[8,16]",
        "train_sizes=[32,48],null",
        "head.order=[norm,act,dropout],[act,norm,dropout]",
        "+phases={a:{epochs:1}},{a:{epochs:1},b:{epochs:1}}",
    ],
)
def test_lists_and_mappings_can_be_swept(command, tmp_path, axis):
    done = command("-m", axis, *[word for word in TINY if not axis.startswith(word.partition("=")[0])], "logger=csv")
    assert done.code == 0 and "2 of 2 jobs done" in done.text, done.text
    cells = [read_result(folder)["job"]["cell"] for folder in run_folders(tmp_path)]
    assert len(cells) == 2 and cells[0] != cells[1]


def test_trainer_smoke_takes_the_epochs_that_are_typed(command, tmp_path):
    done = command(*TINY, "logger=csv", "epochs=3", "recipe=uniform_50", "optimizer=sgd", "backbone=compact", "backbone.widths=[4,4]")
    assert done.code == 0, done.text
    assert len(read_metrics(run_folders(tmp_path)[0])) == 3


def test_validation_every_other_epoch_leaves_a_true_record(command, tmp_path):
    done = command(*TINY, "logger=csv", "+trainer.check_val_every_n_epoch=2", "trainer.max_epochs=5", "patience=5", "data.val=200")
    assert done.code == 0, done.text
    (folder,) = run_folders(tmp_path)
    rows, result = read_metrics(folder), read_result(folder)
    validated = {row["epoch"]: row["val/accuracy"] for row in rows if "val/accuracy" in row}
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4] and list(validated) == [1, 3]
    assert result["selected"]["value"] == max(validated.values()) == validated[result["selected"]["epoch"]]
    assert result["metrics"]["val"]["accuracy"] == pytest.approx(result["selected"]["value"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["trainer.limit_val_batches=0.01"], "trainer.limit_val_batches=0.01 of 1 batches is less than one"),
        (["trainer.limit_train_batches=0.01"], "trainer.limit_train_batches=0.01 of 3 batches is less than one"),
        (["optimizer.momentum=0"], "optimizer: Nesterov momentum requires a momentum"),
        (["optimizer=adagrad", "scheduler.cycle_momentum=true"], "scheduler: optimizer must support momentum"),
        (["trainer.accelerator=foo"], "trainer.accelerator=foo, trainer.devices=1, trainer.strategy=auto: You selected an invalid"),
    ],
)
def test_what_needs_data_or_torch_to_be_known_is_refused_before_training(command, wrong, sentence):
    done = command(*TINY, "logger=csv", *wrong)
    assert done.code == 1 and sentence in squeeze(done.text) and "Traceback" not in done.text and "epoch 1/" not in done.text


def test_a_warm_up_of_a_single_step_trains(command):
    """torch's one-cycle schedule divides by zero there: a fifth of five steps."""
    done = command(*TINY, "logger=csv", "trainer.max_epochs=5", "trainer.limit_train_batches=1")
    assert done.code == 0, done.text


def test_another_sweep_has_a_folder_of_its_own(command, tmp_path):
    assert command("-m", "seed=0,1", *TINY, "logger=csv").code == 0
    assert command("-m", "seed=0,1", *TINY, "logger=csv", "optimizer.lr=0.01").code == 0
    assert len(list((tmp_path / "multirun").iterdir())) == 2


def test_a_folder_of_other_settings_is_refused(command):
    there = "hydra.sweep.dir=multirun/mine"
    assert command("-m", "seed=0", *TINY, "logger=csv", there).code == 0
    done = command("-m", "seed=0,1", *TINY, "logger=csv", there, "optimizer.lr=0.01")
    assert done.code == 1 and "optimizer.lr: 0.1 there, 0.01 now" in done.text and "Traceback" not in done.text


@pytest.mark.parametrize(
    ("args", "sentences"),
    [
        (["trainer.max_epoch=2"], ["Could not override 'trainer.max_epoch'", "Did you mean max_epochs"]),
        (["sed=1"], ["Could not override 'sed'", "Did you mean seed?"]),
        (["+sed=1"], ["sed", "Did you mean seed?"]),
        (["seed=abc"], ["seed=abc", "could not be converted to Integer"]),
        (["head.dropout=much"], ["head.dropout=much", "could not be converted to Float"]),
        (["head.act=rellu"], ["head.act=rellu: there is no such option", "Did you mean relu", "gelu, leaky_relu, mish, relu, swish"]),
        (["-m", "head.act=relu,gellu"], ["head.act=gellu: there is no such option", "Did you mean gelu"]),
        (["backbone=resnet51"], ["backbone=resnet51: there is no such option", "Did you mean resnet50"]),
        (["head.act=null"], ["head.act=null: a config group needs one of its options by name"]),
        (["head.act=[relu,gelu]"], ["chooses several options for one run", "--multirun"]),
        (["-m", "head.act=[relu,gelu]", "seed=0,1"], ["chooses several options for one run"]),
        (["head/act=gelu"], ["Could not override 'head/act'", "Did you mean head.act?"]),
        (["head.act=relu,gelu"], ["Ambiguous value", "--multirun"]),
        (["-m", "study=adhoc,adhoc"], ["One study per command"]),
        (["~head.act", "data=synthetic"], ["Missing mandatory value: head.act"]),
        (["data=fer2013", "data.root=nowhere"], ["No copy of FER-2013 in", "nowhere", "FER2013_ROOT", "data=synthetic"]),
        (["-m", "seed=0,1", "data=fer2013", "data.root=nowhere"], ["No copy of FER-2013 in"]),
        ([*TINY, "backbone.freeze=half"], ["freeze=half: choose none, all or norms"]),
        ([*TINY, "patience=2", "monitor=val/acuracy"], ["val/acuracy", "val/accuracy"]),
    ],
)
def test_wrong_input_is_one_clear_answer(command, tmp_path, args, sentences):
    done = command(*args)
    assert done.code == 1
    assert "Traceback" not in done.text
    for sentence in sentences:
        assert sentence in squeeze(done.text)
    assert "epoch 1/" not in done.text


def test_a_misspelt_key_in_a_users_own_file_is_refused(command, tmp_path):
    own = tmp_path / "own" / "optimizer"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("_target_: torch.optim.SGD\n_partial_: true\nlr: 0.1\nmomentun: 0.9\n")
    done = command("--config-dir", str(own.parent), "optimizer=mine", *TINY)
    assert done.code == 1 and "optimizer.momentun: torch.optim.SGD has no such argument. Did you mean momentum?" in done.text
    done = command("-m", "--config-dir", str(own.parent), "optimizer=mine", "seed=0,1", *TINY)
    assert done.code == 1 and "Did you mean momentum?" in done.text and "job 1" not in done.text


def test_a_misspelt_key_in_the_root_file_is_refused(command, tmp_path):
    shutil.copytree(CONF, tmp_path / "conf")
    text = (tmp_path / "conf" / "config.yaml").read_text()
    (tmp_path / "conf" / "config.yaml").write_text(text.replace("dropout: 0.3", "dropuot: 0.3"))
    done = command("--config-path", str(tmp_path / "conf"), *TINY)
    assert done.code == 1 and "dropuot" in done.text and "Did you mean dropout?" in done.text


def test_a_study_without_multirun_says_so(command, tmp_path):
    own = tmp_path / "own" / "study"
    own.mkdir(parents=True)
    study = "# @package _global_\nstudy:\n  question: Which?\nhydra:\n  sweeper:\n    params:\n      head.act: relu,gelu\n"
    (own / "acts.yaml").write_text(study)
    here = ["--config-dir", str(own.parent), "study=acts", *TINY, "logger=csv"]
    done = command(*here)
    assert done.code == 1 and "study=acts is a grid of jobs: add --multirun" in done.text
    done = command("-m", *here)
    assert done.code == 0, done.text
    assert {folder.name for folder in run_folders(tmp_path)} == {"relu-s0", "gelu-s0"}
    assert {folder.parent.name for folder in run_folders(tmp_path)} == {"acts"}
    (own / "acts.yaml").write_text(study.replace("relu,gelu", "[relu,gelu]"))
    done = command("-m", *here)
    assert done.code == 1 and "chooses several options for one run" in done.text


@pytest.mark.parametrize("flags", [["--help"], ["--cfg", "job"]])
def test_help_and_config_import_nothing_heavy(flags, tmp_path):
    code = f"""
import sys
sys.argv = ["fer_lightning", *{flags}]
from fer_lightning.sweep.command import main
try:
    main()
except SystemExit:
    pass
heavy = {{"torch", "lightning", "pandas", "timm", "transformers", "wandb", "numpy"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "head.act" in done.stdout or "backbone:" in done.stdout


def test_early_stopping_and_class_weights(command, tmp_path):
    """A rate of zero stands still, so nothing gets better after the first epoch."""
    done = command(*TINY, "logger=csv", "trainer.max_epochs=9", "optimizer.lr=0", "patience=2", "ema_decay=null", "monitor=val/accuracy")
    assert done.code == 0, done.text
    (folder,) = run_folders(tmp_path)
    assert len(read_metrics(folder)) < 9
    weighted = ["loss.weights=balanced", "loss.max_weight=4", "trainer.gradient_clip_val=1.0", "hydra.run.dir=weighted"]
    assert command(*TINY, "logger=csv", *weighted).code == 0


def test_tensorboard_mirrors_a_run(command, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = command(*TINY, "logger=[csv,tensorboard]")
    assert done.code == 0, done.text
    (folder,) = run_folders(tmp_path)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert {"val/accuracy", "train/loss", "test/accuracy"} <= set(events.Tags()["scalars"])
    logged = [event.value for event in events.Scalars("val/accuracy")]
    assert logged == pytest.approx([row["val/accuracy"] for row in read_metrics(folder)])


def test_ctrl_c_marks_the_job_and_stops_the_sweep(command, tmp_path):
    sweep = ["-m", "seed=0,1", *TINY, "logger=csv"]
    cmd = [sys.executable, "-u", "-m", "fer_lightning", *sweep, "trainer.max_epochs=100000"]
    process = subprocess.Popen(cmd, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "epoch 2/" in line:
            process.send_signal(signal.SIGINT)
            break
    lines += process.stdout.read().splitlines()
    assert process.wait(60) == 130
    (folder,) = run_folders(tmp_path)
    assert folder.name == "s0" and read_result(folder)["status"] == "interrupted"
    assert not any("job 2/2" in line for line in lines)
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] >= 0
    again = [*sweep, "trainer.max_epochs=2", f"hydra.sweep.dir={folder.parent}"]
    assert command(*again).code == 1  # the folder holds a study of other settings
    (folder.parent / "study.json").unlink()
    assert command(*again).code == 0
    assert [row["epoch"] for row in read_metrics(folder)] == [0, 1]  # none of the interrupted try
