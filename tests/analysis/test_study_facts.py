import pytest

from fer_lightning.analysis.study_facts import cut_budget, facts, title
from fer_lightning.analysis.study_record import StudyRecord
from fer_lightning.runs.study_file import with_defaults

CNN = "fer_lightning.model.backbones.compact.CompactCNN"


def make_record(tmp_path, base=None, question="", overrides=(), started="2026-11-27T23:00:00+00:00"):
    folder = tmp_path / "act-norm-3f9a2c"
    cells = [{"head.act": act, "head.norm": "bn"} for act in ("relu", "gelu")]
    data = {"verdict": "official", "counts": {"train": {"angry": 20_000, "sad": 8_709}}}
    results = {
        f"run{seed}": {
            "status": "done",
            "protocol": "official",
            "job": {"id": "x", "cell": cell, "seed": seed, "overrides": list(overrides)},
            "data": data,
            "model": {"backbone": CNN, "parameters": 1_940_000},
            "environment": {"started": started.replace("27", str(27 + seed))},
        }
        for seed, cell in enumerate(cells)
    }
    return StudyRecord(folder, with_defaults({"base": base or {}, "study": {"question": question}}), results, [])


def test_a_study_without_a_question_is_called_by_what_it_compares(tmp_path):
    assert title(make_record(tmp_path)) == "Activation and normalization of CompactCNN", "not by its hash"
    assert title(make_record(tmp_path, base={"backbone.name": "beit_large_patch16_224"})).endswith("of beit_large_patch16_224")
    assert title(make_record(tmp_path, question="Which is best?")) == "Which is best?"


def test_a_reader_learns_model_epochs_data_and_days(tmp_path):
    assert dict(facts(make_record(tmp_path, base={"trainer.max_epochs": 16}))) == {
        "Model": "CompactCNN, 1.94 M parameters",
        "Epochs": "16",
        "Training images": "28,709",
        "Data": "official",
        "Protocol": "official",
        "Seeds": "0 and 1",
        "Run": "2026-11-27 to 2026-11-28",
    }


def test_seeds_are_in_the_order_of_numbers(tmp_path):
    record = make_record(tmp_path)
    for seed, result in zip((10, 9), record.results.values(), strict=True):
        result["job"]["seed"] = seed
    assert dict(facts(record))["Seeds"] == "9 and 10"


def test_what_is_not_known_is_left_out(tmp_path):
    bare = StudyRecord(tmp_path, with_defaults({}), {"a": {"status": "running", "job": {"cell": {}, "seed": 0}}}, [])
    assert facts(bare) == [("Data", "none yet"), ("Protocol", "none yet")] and title(bare) == tmp_path.name


@pytest.mark.parametrize(
    ("base", "overrides", "named"),
    [
        ({"trainer.limit_train_batches": 15}, (), "trainer.limit_train_batches=15."),
        ({"trainer.limit_val_batches": 0.5, "trainer.limit_test_batches": 1}, (), "trainer.limit_test_batches=1."),
        ({}, ("trainer.limit_train_batches=15",), "trainer.limit_train_batches=15."),
        ({}, ("++trainer.limit_test_batches=2",), "trainer.limit_test_batches=2."),
    ],
)
def test_a_cut_budget_is_said(tmp_path, base, overrides, named):
    sentence = cut_budget(make_record(tmp_path, base=base, overrides=overrides))
    assert sentence.startswith("The budget was cut: ") and named in sentence


@pytest.mark.parametrize(
    ("limit", "overrides", "said"),
    [
        (0.2, (), "Epochs are short: trainer.limit_train_batches=0.2, so 60 epochs are 12 passes over the training images."),
        (50, (), "Epochs are short: trainer.limit_train_batches=50, so 60 epochs are 3 passes over the training images."),
        (0.01, (), "The budget was cut: trainer.limit_train_batches=0.01."),  # 0.6 passes
        (0.2, ("trainer.limit_train_batches=0.5",), "The budget was cut: trainer.limit_train_batches=0.2 or 0.5."),
        (0.2, ("trainer.limit_val_batches=9",), "The budget was cut: "),
    ],
)
def test_short_epochs_that_make_whole_passes_are_no_cut(tmp_path, limit, overrides, said):
    base = {"trainer.limit_train_batches": limit, "trainer.max_epochs": 60, "batch_size": 64}
    record = make_record(tmp_path, base=base, overrides=overrides)
    for result in record.results.values():
        result["data"]["counts"] = {"train": {"happy": 60000, "sad": 4000}}
    assert cut_budget(record).startswith(said)


def test_a_whole_budget_needs_no_warning(tmp_path):
    base = dict.fromkeys(("trainer.limit_train_batches", "trainer.limit_val_batches"))
    assert cut_budget(make_record(tmp_path, base=base, overrides=["trainer.limit_test_batches=null"])) == ""
