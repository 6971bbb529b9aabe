"""The papers' recipes on the real FER-2013: one training step at the paper's batch size each, then val, test and the record."""

import pytest
from helpers.project import TABLE, needs_fer2013, run_folders

from fer_lightning.runs.result import read_result

pytestmark = needs_fer2013

ONE_STEP = [f"trainer.limit_{part}_batches=1" for part in ("train", "val", "test")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The table is parsed once for all recipes."""
    return tmp_path_factory.mktemp("parsed")


@pytest.mark.parametrize(
    ("recipe", "backbone", "batch", "protocol", "test_part"),
    [
        ("cnn_batchnorm", "batchnorm_cnn", None, "train_plus_one_test_PublicTest", 0),
        ("uniform_50", "resnet18", 64, "official", 3589),
        ("uniform_50", "vgg11", 64, "official", 3589),
        ("uniform_50", "mobilenet_v3_small", 64, "official", 3589),
        ("four_stage_vgg", "four_stage_vgg", 64, "swapped", 3589),
    ],
)
def test_one_step_at_the_papers_batch_size(command, tmp_path, cache, recipe, backbone, batch, protocol, test_part):
    args = [f"recipe={recipe}", f"backbone={backbone}", "data=fer2013", f"data.root={TABLE}", f"data.cache_dir={cache}"]
    size = 40 if recipe == "four_stage_vgg" else 48
    short = ["trainer.max_epochs=1", *ONE_STEP, "eval_batch_size=32", "timed_passes=0", "stability.probe=32", "logger=csv"]
    done = command(*args, *short, "evaluation=single", f"evaluation.size={size}")
    assert done.code == 0, done.text
    result = read_result(run_folders(tmp_path)[0])
    assert (result["status"], result["protocol"], result["data"]["verdict"]) == ("done", protocol, "official")
    assert sum(result["data"]["counts"]["test"].values()) == test_part
    assert batch is None or f"batch_size: {batch}" in (run_folders(tmp_path)[0] / ".hydra" / "config.yaml").read_text().splitlines()
