import pandas as pd
import pytest

from fer_lightning.analysis.page.study_figures import published as draw_published
from fer_lightning.analysis.published import attainable, audit, compare, notes
from fer_lightning.analysis.study_record import StudyRecord
from fer_lightning.analysis.tables import published
from fer_lightning.runs.study_file import with_defaults
from fer_lightning.stability.measures import MEASURES


@pytest.mark.parametrize("printed", ["73.28", "73.06", "73.59", "73.11", "72.64", "73.14"])
def test_shares_of_3589_images(printed):
    assert attainable(printed, 3589)  # S4, checklist A.5


@pytest.mark.parametrize("printed", ["60.33", "60.37", "68.34", "69.23", "68.78"])
def test_numbers_that_no_count_of_3589_images_gives(printed):
    assert not attainable(printed, 3589)  # S3 and S2, checklist A.5


def test_the_same_number_on_more_images():
    assert attainable("68.78", 7178)  # 4,937 of 7,178
    assert attainable("68.78", None) and attainable("68.78", 0)
    assert attainable("100", 3589) and attainable("0.0", 3589) and attainable("50.0", 4) and not attainable("51.0", 4)


def test_every_attainable_number_is_found():
    for n in (7, 55, 3589):
        for k in range(0, n + 1, max(1, n // 50)):
            assert attainable(f"{100 * k / n:.2f}", n)


def make_jobs(accuracies, protocol="official", verdict="official", act="relu"):
    rows = [
        {"name": f"{act}-s{s}", "head.act": act, "seed": s, "status": "done", "protocol": protocol, "verdict": verdict}
        | {"test_accuracy": a, "val_accuracy": a, "test_macro_f1": a - 0.02, "test_n": 3589}
        for s, a in enumerate(accuracies)
    ]
    return pd.DataFrame(rows)


def make_study(**numbers):
    entries = [{"cell": {"head.act": "relu"}, "row": "S0-24", **numbers}]
    return {"protocol": "official", "images": 3589, "published": entries, "doubts": []}


@pytest.mark.parametrize(
    ("accuracies", "printed", "verdict"),
    [
        ([0.70, 0.71, 0.72], "71.02", "inside"),
        ([0.70, 0.71, 0.72], "80.00", "below"),
        ([0.70, 0.71, 0.72], "60.00", "above"),
        ([0.70], "71.02", "inside"),
        ([0.70], "75.01", "below"),
    ],
)
def test_verdict_on_a_published_accuracy(accuracies, printed, verdict):
    (row,) = compare(make_jobs(accuracies), make_study(test_accuracy=printed)).to_dict("records")
    assert row["verdict"] == verdict and row["n"] == len(accuracies) and row["published"] == printed
    assert row["low"] < row["measured"] < row["high"]


def test_what_cannot_be_compared_says_why():
    study = make_study(test_accuracy="71.02", macro_f1="0.69")
    other = compare(make_jobs([0.70, 0.71], protocol="swapped"), study)
    assert other["verdict"].tolist() == ["not comparable: measured under swapped, published under official"] * 2
    assert set(compare(make_jobs([0.70, 0.71], verdict="synthetic"), study)["verdict"]) == {"not comparable: synthetic data"}
    both = compare(make_jobs([0.70, 0.71], verdict="synthetic", protocol="swapped"), study)["verdict"]
    assert set(both) == {"not comparable: synthetic data; measured under swapped, published under official"}
    one = compare(make_jobs([0.70]), study).set_index("metric")["verdict"]
    assert one["macro_f1"] == "not comparable: one seed, no interval" and one["test_accuracy"] == "inside"
    assert len(compare(make_jobs([0.7], act="gelu"), study)) == 0


def test_one_seeds_validation_accuracy_has_the_interval_of_its_images():
    """S1's numbers are of validation and training. Wilson's interval by hand: 0.62 of 3,589 images."""
    jobs = make_jobs([0.62]).assign(train_accuracy=0.98)
    study = make_study(val_accuracy="62", train_accuracy="99")
    counts = {"train": {"happy": 32000, "sad": 298}, "val": {"happy": 3000, "sad": 589}}
    table = compare_typed(jobs, study, data={"counts": counts}).set_index("metric")
    assert table.loc["val_accuracy", ["low", "high"]].tolist() == pytest.approx([0.60400, 0.63574], abs=1e-4)
    assert table["verdict"].to_dict() == {"val_accuracy": "inside", "train_accuracy": "not comparable: one seed, no interval"}
    assert set(compare(jobs, study)["verdict"]) == {"not comparable: one seed, no interval"}


def test_audit_names_row_metric_and_images():
    study = make_study(test_accuracy="68.78", val_accuracy="73.28")
    for printed in ("> 68.78", "nan", "good"):
        study["published"] += make_study(test_accuracy=printed)["published"]
    assert audit(study) == ["S0-24: test_accuracy 68.78 % is not a share of 3,589 images."]


def compare_typed(jobs, study, *overrides, shipped=None, folder=None, **about):
    results = {name: {"job": {"overrides": list(overrides)}, **about} for name in jobs["name"]}
    return compare(jobs, study, results=results, shipped=shipped, folder=folder)


def make_bn_study():
    entries = [{"cell": {"head.act": "relu", "head.norm": norm}, "row": norm, "test_accuracy": "71.02"} for norm in ("none", "bn")]
    return {"protocol": "official", "images": 3589, "published": entries, "doubts": []}


@pytest.mark.parametrize("override", ["head.norm=bn", "+head.norm=bn", "++head.norm='bn'"])
def test_an_axis_narrowed_to_one_value_keeps_the_paper(override):
    table = compare_typed(make_jobs([0.70, 0.72]), make_bn_study(), override)
    assert table[["head.norm", "row", "verdict"]].values.tolist() == [["bn", "bn", "inside"]]


@pytest.mark.parametrize(
    ("value", "typed", "found"),
    [(True, "true", 1), (True, "false", 0), (0.06, "0.060", 1), (0.001, "1e-3", 1), (64, "64.0", 1), (None, "null", 1)],
)
def test_a_narrowed_axis_is_compared_by_its_value(value, typed, found):
    study = make_study(test_accuracy="71.02")
    study["published"][0]["cell"] = {"key": value}
    assert len(compare_typed(make_jobs([0.70, 0.72]), study, f"key={typed}")) == found


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["backbone=compact", "backbone.widths=[8]", "epochs=2"], "backbone=compact (paper: beit_large); epochs=2 (paper: 50)"),
        (["trainer.limit_train_batches=15"], "trainer.limit_train_batches=15"),
        (["trainer=smoke"], "trainer=smoke"),
        (["optimizer.lr=0.1"], "optimizer.lr=0.1"),
        (["input_size=112", "prior_bias=true"], "input_size=112 (paper: null); prior_bias=true (paper: false)"),
        (["ema_decay=null"], "ema_decay=null"),
        (["~augment"], "without augment"),
        (["data.labels=ferplus_majority"], "data.labels=ferplus_majority"),
    ],
)
def test_a_run_that_is_not_the_papers_says_what_differs(overrides, reason):
    shipped = {"backbone": "beit_large", "epochs": "50", "input_size": "None", "prior_bias": "False"}
    (row,) = compare_typed(make_jobs([0.3, 0.31]), make_study(test_accuracy="71.02"), *overrides, shipped=shipped).to_dict("records")
    assert row["verdict"] == f"not comparable: {reason}"


@pytest.mark.parametrize(
    "override", ["epochs=50", "seed=3", "logger=csv", "data.root=x", "hydra.sweep.dir=x", "study.rerun=failed", "threads=1"]
)
def test_what_changes_no_training_or_is_the_papers_value_changes_no_verdict(override):
    table = compare_typed(make_jobs([0.3, 0.31]), make_study(test_accuracy="71.02"), override, shipped={"epochs": "50"})
    assert table["verdict"].tolist() == ["below"]


def test_a_further_axis_makes_cells_of_their_own():
    jobs = pd.concat([make_jobs([0.70, 0.72]), make_jobs([0.2, 0.21])], ignore_index=True)
    jobs.insert(2, "head.dropout", ["0.3", "0.3", "0.9", "0.9"])
    jobs["name"] = ["a", "b", "c", "d"]
    results = {name: {"job": {"overrides": [f"head.dropout={dropout}"]}} for name, dropout in zip("abcd", jobs["head.dropout"])}
    table = compare(jobs, make_study(test_accuracy="71.02"), results=results, shipped={"head.dropout": "0.3"})
    assert table[["head.dropout", "verdict"]].values.tolist() == [
        ["0.3", "inside"],
        ["0.9", "not comparable: head.dropout=0.9 (paper: 0.3)"],
    ]


def test_a_printed_f1_is_shown_in_the_unit_of_ours():
    table = compare(make_jobs([0.70, 0.72]), make_study(test_accuracy="71.0", macro_f1="0.69", weighted_f1="0.7"))
    assert table[["metric", "unit", "published", "verdict"]].values.tolist() == [
        ["test_accuracy", "%", "71.0", "inside"],
        ["macro_f1", "%", "69", "inside"],
    ]


def test_figures_of_classes_parameters_milliseconds_and_words_are_compared():
    measured = {"parameters": 11_180_000, "test_pass_ms": [900.0, 1100.0], "stability_label": "High", "stability_div": False}
    jobs = make_jobs([0.70, 0.72]).assign(**measured)
    jobs[[f"stability_{name}" for name in MEASURES if name != "div"]] = 0.0
    classes = {
        "angry": {"precision": 0.5, "recall": 0.6, "f1": 0.55, "support": 30},
        "sad": {"precision": 1, "recall": 1, "f1": 1, "support": 10},
    }
    per_class = {"angry": {"recall": "0.66"}, "overall": {"f1": "0.66"}, "nobody": {"f1": "0.1"}}
    study = make_study(per_class=per_class, parameters_m="11.1", test_pass_ms="1528.9", stability="Moderate")
    table = compare_typed(jobs, study, metrics={"test": {"per_class": classes}})
    assert table[["metric", "unit", "published", "measured"]].values.tolist() == [
        ["recall of angry", "%", "66", pytest.approx(0.6)],
        ["f1 of overall", "%", "66", pytest.approx((0.55 * 30 + 10) / 40)],
        ["parameters", "M", "11.1", pytest.approx(11.18)],
        ["time of a test pass", "ms", "1528.9", pytest.approx(1000)],
        ["stability", "", "Moderate", "High"],
    ]
    assert table["verdict"].tolist()[2:] == ["equal", "not comparable: other hardware", "not comparable: the paper does not define it"]
    ten_crops = {"per_class": classes, "per_class_ten_crop": {"angry": {"recall": 0.66}}}
    views = compare_typed(jobs, make_study(per_class={"angry": {"recall": "0.66"}}), metrics={"test": ten_crops})
    assert views["measured"].tolist() == [0.66], "from the views that the paper used"
    assert "differs" in compare_typed(jobs, make_study(parameters_m="11.3"))["verdict"].tolist()


def test_bounds_after_an_epoch(tmp_path):
    jobs = make_jobs([0.70])
    (tmp_path / "relu-s0").mkdir()
    (tmp_path / "relu-s0" / "metrics.csv").write_text("epoch,step,train/loss,train/accuracy\n0,1,0.5,0.8\n1,2,0.19,0.89\n")
    study = make_study(epoch=2, train_loss="< 0.20", train_accuracy="> 90")
    table = compare_typed(jobs, study, folder=tmp_path)
    assert table[["metric", "published", "verdict"]].values.tolist() == [
        ["train_accuracy after epoch 2", "> 90", "does not hold"],
        ["train_loss after epoch 2", "< 0.20", "holds"],
    ]
    (short,) = compare_typed(jobs, make_study(epoch=3, train_loss="< 0.20"), folder=tmp_path).to_dict("records")
    assert not len(compare(jobs, study)), "nothing is known of its epochs"
    assert short["measured"] == 0.19 and short["verdict"] == "not comparable: ended after epoch 2"


def test_intervals_of_shares_stay_between_0_and_100_percent():
    (row,) = compare(make_jobs([0.01, 0.9]), make_study(test_accuracy="71.02")).to_dict("records")
    assert (row["low"], row["high"]) == (0, 1)


def test_notes_are_read_with_their_rows():
    study = {"published": [{"row": "S4-1", "note": "repo figure"}, {"row": "S4-2", "note": "repo figure"}, {"row": "S4-3"}]}
    assert notes(study) == ["S4-1, S4-2: repo figure"]


def test_the_table_says_once_why_nothing_can_be_compared(tmp_path):
    study = make_study(test_accuracy="71.02", macro_f1="0.69")
    record = StudyRecord(tmp_path, with_defaults({"study": study | {"paper": "S0"}}), {}, [])
    record.jobs = make_jobs([0.05, 0.06], verdict="synthetic")
    finding = published(record)
    assert "Not comparable with the paper, because of synthetic data." in finding.text
    assert finding.table.columns.tolist() == ["cell", "number", "published", "measured", "95 % interval", "measured is", "seeds", "row"]
    assert finding.table.iloc[1].tolist() == ["relu", "macro F1, %", "69", "3.50 ± 0.71", "0.00 to 9.85", "not comparable", "2", "S0-24"]


def test_the_figure_has_narrowed_axes_and_epochs_but_no_bounds(tmp_path):
    record = StudyRecord(tmp_path, with_defaults({}), {}, [])
    row = {"head.norm": "bn", "row": "S1-17", "measured": 0.9, "low": 0.8, "high": 0.95}
    named = {"train_accuracy after epoch 20": "98", "train_accuracy after epoch 10": "> 90", "macro_f1": "71"}
    record.published = pd.DataFrame([row | {"metric": metric, "published": printed} for metric, printed in named.items()])
    chart = draw_published(record)
    assert chart.y.ticks == ("bn train after epoch 20",) and chart.series[1].x == [98.0]
