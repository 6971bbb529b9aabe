"""What results/ says is what the records in it say."""

import shutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT
from helpers.written_runs import write_run

from fer_lightning.analysis.study_record import gather
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.stability.measures import MEASURES

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
    done = command("--check", main=page.main)
    assert done.code == 1 and f"{tmp_path / 'README.md'}: not what the records say" in done.text


def test_kept_probabilities_are_short_and_answer_as_before(page):
    keep = import_module("keep")
    exact = np.random.default_rng(0).dirichlet(np.full(7, 0.3), 5000).astype(np.float32)
    exact[0], exact[1] = [0.25, 0.25001, *[0.1] * 5], 1 / 7
    short = keep.shortened(exact)
    assert (short.argmax(1) == exact.argmax(1)).all() and (short[0] == exact[0]).all() and (short != exact).any()
    np.testing.assert_allclose(short, exact, rtol=1 / 512)


def test_a_measure_that_predicts_is_told_from_one_that_does_not():
    """Six cells of eight seeds: jitter follows the accuracy of the cell, gap that of the run, oscillation nothing."""
    measures, random = import_module("measures"), np.random.default_rng(0)
    cell, noise = np.repeat(np.arange(6), 8), random.normal(size=48)
    runs = pd.DataFrame({"name": list(map(str, range(48))), "cell": cell, "test_accuracy": 0.6 + cell / 100 + noise / 500})
    empty = dict.fromkeys(measures.MEASURES[1:], np.full(48, np.nan))
    runs = runs.assign(**empty | {"jit": cell + random.normal(size=48) / 9, "gap": noise, "osc": random.normal(size=48)})
    table = runs.groupby("cell").mean(numeric_only=True).assign(ssd=np.nan, churn=np.nan)
    found = measures.between_and_within([runs], [table]).set_index(["measure", "predicted"])
    assert found.loc[("jit", "test accuracy, between cells"), "rho"] == 1
    assert found.loc[("gap", "test accuracy, within cells"), ["rho", "n"]].tolist() == [1, 48]
    assert found.loc[("osc", "test accuracy, within cells"), "p_holm"] > 0.05
    assert set(found["p_holm"] >= found["p"]) == {True} and not any("churn" in what for _, what in found.index)


def test_the_order_of_optimizers_by_hand(page):
    """Seven optimizers in S4's order at 0.001 and in the reverse one at 0.1; a rate that one alone has makes no order."""
    order = import_module("optimizer_order")
    arm = order.published()["four_stage_vgg_constant"].drop("adam")  # ties with adagrad
    rows = []
    for place, name in enumerate(arm.sort_values().index):
        for seed in (0, 1):
            rows.append((name, "0.001", seed, 0.4 + place / 100, 0.5))
            rows.append((name, "0.1", seed, 0.8 - place / 100, 0.6 + seed / 100))
    rows.append(("sgd_nesterov", "1.0", 0, 0.9, 0.7))
    done = pd.DataFrame(rows, columns=["optimizer", "optimizer.lr", "seed", "val_accuracy", "test_accuracy"])
    text = order.order_text(done)
    assert "at 0.001 have a rank correlation of +1.00 (p 0.000)" in text and "and these at 0.01" not in text
    table = order.order_table(done).set_index("optimizer")
    assert list(table.index[:2]) == ["sgd_nesterov", "adadelta"] and table.loc["adadelta", "test %"] == "60.50 ± 0.71"
    assert table.loc["sgd_nesterov", "val % at 0.001"] == "45.00 (1)" and table.loc["adadelta", "val % at 1"] == ""
    said = order.order_conclusion(done)
    assert "at 0.1 adadelta leads and sgd_nesterov is last" in said and "at 1 " not in said
    assert "S4's first, sgd_nesterov, has place 1 of 6, its last, adadelta, place 2," in said


@pytest.fixture
def judges(monkeypatch):
    monkeypatch.syspath_prepend(RESULTS)
    return import_module("judges")


def record(folder, axis, accuracies, **options):
    """A StudyRecord of cells {level: [accuracy a seed]} along one axis, on 1,000 images."""
    for level, shares in accuracies.items():
        for seed, share in enumerate(shares):
            write_run(folder, {axis: level}, seed, np.arange(1000) < 1000 * share, **options)
    return gather(folder)


LOW, MIDDLE, HIGH = (0.500, 0.502, 0.501, 0.503), (0.551, 0.550, 0.553, 0.552), (0.602, 0.600, 0.601, 0.603)


def test_the_best_and_the_worst_of_three(judges, tmp_path):
    study = record(tmp_path, "optimizer", {"adam": HIGH, "sgd": MIDDLE, "asgd": LOW})
    words = {
        name: (judges.first({"optimizer": name})(study).word, judges.last({"optimizer": name})(study).word)
        for name in ("adam", "sgd", "asgd")
    }
    assert words == {"adam": ("yes", "no"), "sgd": ("no", "no"), "asgd": ("no", "yes")}
    assert judges.worst({"optimizer": "asgd"})(study).word == "yes" and judges.worst({"optimizer": "sgd"})(study).word == "no"
    assert judges.first({"optimizer": "sgd"})(study).measured.startswith("place 2 of 3; adam against it +5.00 (")


def test_two_networks_of_one_seed_on_the_same_images(judges, tmp_path):
    """Each right image of one is right in the other too: 20 of 1,000 more differ from none, 2 do not."""
    study = record(tmp_path, "backbone", {"vgg11": [0.60], "resnet18": [0.62], "vgg13": [0.602]})
    words = {name: judges.better({"backbone": name}, {"backbone": "vgg11"})(study).word for name in ("resnet18", "vgg13", "resnet34")}
    assert words == {"resnet18": "yes (one run)", "vgg13": "not decided", "resnet34": "not run"}
    answer = judges.better({"backbone": "vgg11"}, {"backbone": "resnet18"})(study)
    numbered = record(tmp_path / "b", "optimizer.lr", {"0.010": [0.6], "1": [0.5]})
    assert judges.better({"optimizer.lr": "1e-2"}, {"optimizer.lr": 1.0})(numbered).word == "yes (one run)"
    assert answer.word == "no (one run)" and answer.measured.startswith("-2.00 (-3.")


def test_a_group_beats_the_rest_if_each_does(judges, tmp_path):
    study = record(tmp_path, "optimizer", {"adam": HIGH, "sgd": MIDDLE, "asgd": LOW})
    adam, sgd, asgd = ({name: {"optimizer": name}} for name in ("adam", "sgd", "asgd"))
    assert judges.all_beat(adam | sgd, ["asgd"])(study).word == "yes"
    answer = judges.all_beat(adam | asgd, ["sgd"])(study)
    assert answer.word == "no" and answer.measured.startswith("sgd against asgd +5.00 (")


def test_cells_of_two_studies_are_compared_seed_by_seed(judges, tmp_path):
    ours = record(tmp_path / "a", "optimizer", {"adam": HIGH, "sgd": LOW})
    theirs = record(tmp_path / "b", "optimizer", {"constant": MIDDLE})
    judge = judges.base_beats(lambda _: (theirs, {}), {"adam": {"optimizer": "adam"}, "sgd": {"optimizer": "sgd"}})
    answer = judge(ours)
    assert answer.word == "no" and answer.measured.startswith("against it: adam +5.00 (") and "; sgd -5.00 (" in answer.measured
    assert judges.base_beats(lambda _: (theirs, {}), {"sgd": {"optimizer": "sgd"}})(ours).word == "yes"
    assert judges.base_beats(lambda _: None, {})(ours).word == "not run"


@pytest.mark.parametrize(("paper", "word"), [(5.0, "yes"), (9.0, "no")])
def test_as_many_points_more_as_the_paper_says(judges, tmp_path, paper, word):
    study = record(tmp_path, "augment", {"flip": LOW, "crops": MIDDLE})
    assert judges.adds({"augment": "crops"}, {"augment": "flip"}, paper)(study).word == word


def test_two_classes_that_are_taken_for_each_other(judges, tmp_path):
    """Of 1,001 images a wrong one is taken for the next class: fear (2) for happy (3), of which batch norm has fewer with each seed."""
    random = np.random.default_rng(0)
    for act in ("relu", "gelu"):
        for seed in range(6):
            for norm, share in (("bn", 0.8), ("none", 0.6)):
                write_run(tmp_path, {"head.act": act, "head.norm": norm}, seed, random.random(1001) < share)
    study = gather(tmp_path)
    answer = judges.parted(("fear", "happy"))(study)
    # Half of the images of the two classes are fear, so half of 20 % fewer mistakes.
    found = float(answer.measured.split("fear and happy ")[1].split(" ")[0])
    assert answer.word == "yes" and found == pytest.approx(-10, abs=2)
    assert "angry and happy +0.00" in judges.parted(("angry", "happy"))(study).measured


def test_which_class_is_recalled_best_and_worst(judges, tmp_path):
    for seed, recalls in enumerate([(0.9, 0.5, 0.2), (0.9, 0.5, 0.3)]):
        table = dict(zip(("happy", "sad", "fear"), ({"precision": 0.5, "recall": r, "f1": 0.5, "support": 9} for r in recalls)))
        write_run(tmp_path, {"backbone": "vgg11"}, seed, np.arange(100) < 50, per_class=table)
    study = gather(tmp_path)
    assert judges.recalled("happy", "fear")(study).word == "yes" and judges.recalled("happy", "sad")(study).word == "no"


def test_what_the_seeds_leave_open_is_not_decided(judges, tmp_path):
    study = record(tmp_path, "optimizer", {"adam": (0.5, 0.6, 0.52), "sgd": (0.58, 0.51, 0.55)})
    assert judges.first({"optimizer": "sgd"})(study).word == judges.last({"optimizer": "adam"})(study).word == "not decided"


@pytest.mark.parametrize(
    ("gain", "noise", "word"), [(0.030, 0.001, "yes"), (0.0, 0.001, "no"), (0.030, 0.060, "not decided"), (0.060, 0.001, "no")]
)
def test_gains_beside_those_of_the_paper(judges, tmp_path, gain, noise, word):
    """The paper has 2.8 to 3.4 points. Seeds shift both norms alike but for the noise."""
    random = np.random.default_rng(0)
    for act in ("relu", "gelu", "swish", "mish"):
        for seed in range(8):
            for norm, more in (("none", 0.0), ("bn", gain)):
                share = 0.6 + more + 0.001 * seed + noise * random.normal()
                write_run(tmp_path, {"head.act": act, "head.norm": norm}, seed, np.arange(4000) < 4000 * share)
    answer = judges.gains(lambda: dict.fromkeys(("relu", "gelu", "swish", "mish"), 3.1))(gather(tmp_path))
    assert answer.word == word and "paper +3.1" in answer.measured


def test_the_differences_of_gains_are_shown_in_points(judges, tmp_path):
    """Batch norm adds 3 points to three activations and 6 to GELU, which stands first; with mish seeds shift its gain by up to 0.1."""
    for act in ("relu", "gelu", "swish", "mish"):
        for seed in range(6):
            for norm, more in (("none", 0.0), ("bn", 0.06 if act == "gelu" else 0.03)):
                shift = 4 * (seed % 3 - 1) * (act == "mish" and norm == "bn")
                right = np.arange(4000) < 4000 * (0.6 + more + 0.001 * seed) + shift
                write_run(tmp_path, {"head.act": act, "head.norm": norm}, seed, right)
    study = gather(tmp_path)
    answer = judges.depends(lambda: {"relu": 3.1, "gelu": 3.4, "swish": 2.8, "mish": 2.9})(study)
    assert answer.measured.startswith("gain of batch norm: mish against gelu -3.00 (-3.")
    assert "; relu against gelu -3.00 (" in answer.measured and answer.measured.endswith(", paper -0.6")
    assert judges.gains_most("mish")(study).word == "no"


@pytest.mark.parametrize("share, word", [(0.62, "agrees"), (0.55, "differs")])
def test_a_number_of_the_paper_beside_one_run(judges, tmp_path, share, word):
    study = record(tmp_path, "backbone.batch_norm", {"True": [share]})
    study.ledger["study"] |= {"published": [{"cell": {"backbone.batch_norm": True}, "row": "S1-18", "test_accuracy": "62"}]}
    study.ledger["study"] |= {"protocol": "official", "images": None, "doubts": []}
    answer = judges.numbers({"backbone.batch_norm": True}, "test_accuracy")(study)
    assert answer.word == word and f"test accuracy {100 * share:.1f} % (" in answer.measured and "paper 62 %" in answer.measured


def test_a_number_of_another_network_than_the_papers_is_not_decided(judges, tmp_path):
    study = record(tmp_path, "backbone", {"compact": [0.55]})
    study.ledger["study"] |= {"published": [{"cell": {}, "row": "S2-21", "test_accuracy": "68.78"}]}
    study.ledger["study"] |= {"protocol": "train_875_125", "images": None, "doubts": []}
    answer = judges.numbers({}, "test_accuracy")(study)
    assert answer.word == "not comparable" and "paper 68.78 %; " in answer.measured
    with pytest.raises(LookupError, match="has 0 numbers for test_acuracy"):
        judges.numbers({}, "test_acuracy")(study)


def test_the_runs_whose_rate_is_above_the_best_of_their_optimizer(page, tmp_path):
    """Of adam 0.1 is above its best, 0.01; of sgd nothing is above its best, 0.1. A run of a grid of heads is a usual one."""
    for name, axes in (("compact_optimizers", ("optimizer", "optimizer.lr")), ("frozen_head_grid", ("head.act", "head.norm"))):
        cells = ("adam", "0.01", 0.6), ("adam", "0.1", 0.5), ("sgd", "0.01", 0.4), ("sgd", "0.1", 0.5)
        for *levels, share in cells:
            path = write_run(tmp_path / name, dict(zip(axes, levels)), 0, np.arange(100) < 100 * share)
            measures = {"spk": 2.0, "osc": 0.1, "jit": None, "gnv": 0.3 if levels[1] == "0.1" else 0.1, "dead": 0.0, "div": False}
            write_result(path, read_result(path) | {"stability": dict.fromkeys(MEASURES) | measures | {"label": "High"}})
    cut_offs = import_module("cut_offs")
    usual, above = cut_offs.split_runs({name: gather(tmp_path / name) for name in ("compact_optimizers", "frozen_head_grid")})
    assert list(above["name"]) == ["adam-0.1-s0"] and list(above["label"]) == ["Low"] and len(usual) == 6
    table = cut_offs.cut_off_table({"usual": usual, "rate too large": above}).set_index("measure")
    assert table.loc["spikes", "usual: above Low's"] == "100 %" and table.loc["gradient volatility", "usual: above Low's"] == "50 %"


def test_what_was_not_run_by_hand(page, tmp_path):
    """Two of seven optimizers at two of three rates, 0.01 typed in another way; two seeds of three."""
    cells = [(name, rate, seed) for name in ("adam", "sgd") for rate in ("1.0e-3", "0.01") for seed in (0, 1)]
    for name, rate, seed in cells:
        path = write_run(tmp_path, {"optimizer": name, "optimizer.lr": rate}, seed, np.arange(100) < 50)
        result = read_result(path)
        result["job"]["overrides"] = [f"optimizer={name}", f"optimizer.lr={rate}", f"seed={seed}"]
        write_result(path, result | {"time": {"total_s": 120.0}})
    not_run, study = import_module("not_run"), gather(tmp_path)
    levels = not_run.absent_levels(study, "compact_optimizers")
    assert levels == "optimizer=adadelta,adagrad,amsgrad,asgd,sgd_nesterov optimizer.lr=1.0e-1"
    assert not_run.absent_seeds(study, 3) == ("1 of 3 seeds", "4 jobs of 2 minutes on one core, as measured")
    assert not_run.absent_seeds(study, 2) is None
    assert not_run.changes(study, "compact_optimizers") == ""
    assert not_run.changes(study, "efficientnet_two_phase") == ""  # axes of its own


def test_every_study_of_the_papers_is_here_or_listed_as_not_run(page):
    records = import_module("records")
    listed = {study: set(rows["not run"]) for study, rows in import_module("not_run").not_run().table.groupby("study")}
    for name in records.studies_of_the_papers():
        assert ("all" in listed.get(f"`{name}`", ())) != (RESULTS / name / "study.json").exists(), name
    assert "as the paper has it" in listed["`augmentation_ladder`"] and "`frozen_head_grid`" not in listed


def test_the_leak_with_equal_classes_by_hand(page, tmp_path):
    """Class 0 is right in 3 of 4, clean 1 of 2; class 1 in 1 of 2, clean too: 4/6 of all, and 1/2 of the clean ones with any weights."""
    from fer_lightning.runs.predictions import write_predictions

    labels, answers = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 0])
    clean = np.array([False, False, True, True, True, True])
    write_predictions(tmp_path, {"test": (np.eye(2, dtype=np.float32)[answers], labels, np.arange(6))}, clean)
    assert import_module("leak").with_equal_classes(tmp_path) == pytest.approx(4 / 6 - 1 / 2)
    assert import_module("leak").with_equal_classes(tmp_path / "none") is None


def test_a_best_rate_at_the_end_of_those_tried_is_named(page):
    at = pd.DataFrame({0.001: [1.0, 5.0, 2.0], 0.01: [3.0, 4.0, 3.0], 0.1: [2.0, 1.0, np.nan]}, index=["adam", "sgd", "asgd"])
    said = import_module("optimizer_order").at_the_end(at)
    assert said.startswith(" sgd and asgd have the best accuracy at the smallest or the largest") and "adam" not in said


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

    from fer_lightning.config.groups import CONF

    for (act, norm), rate in import_module("details").chosen(gather(RESULTS / "frozen_head_rates")).items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", ["study=frozen_head_grid", f"head.act={act}", f"head.norm={norm}"])
        assert cfg.optimizer.lr == pytest.approx(rate), (act, norm)
