import pandas as pd
import pytest

from fer_lightning.analysis.published import attainable, audit, compare


@pytest.mark.parametrize("printed", ["73.28", "73.06", "73.59", "73.11", "72.64", "73.14"])
def test_shares_of_3589_images(printed):
    assert attainable(printed, 3589)  # S4, checklist A.5


@pytest.mark.parametrize("printed", ["60.33", "60.37", "68.34", "69.23", "68.78"])
def test_numbers_that_no_count_of_3589_images_gives(printed):
    assert not attainable(printed, 3589)  # S3 and S2, checklist A.5


def test_the_same_number_on_more_images():
    assert attainable("68.78", 7178)  # 4,937 of 7,178
    assert attainable("68.78", None)
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
    one = compare(make_jobs([0.70]), study).set_index("metric")["verdict"]
    assert one["macro_f1"] == "not comparable: one seed, no interval" and one["test_accuracy"] == "inside"
    assert len(compare(make_jobs([0.7], act="gelu"), study)) == 0


def test_audit_names_row_metric_and_images():
    study = make_study(test_accuracy="68.78", val_accuracy="73.28")
    assert audit(study) == ["S0-24: test_accuracy 68.78 % is not a share of 3,589 images."]
