"""The report of a study from its files: a real one, then with damage and hostile names in it; its figures and tables as files."""

import base64
import io
import json
import shlex
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from helpers.project import ROOT, compose
from helpers.real_study import HOSTILE, damaged_study, run_study
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fer_lightning.analysis import tables
from fer_lightning.analysis.page import html as page
from fer_lightning.analysis.page.configs import read_configs, split_common
from fer_lightning.analysis.page.curves import curves_payload
from fer_lightning.analysis.page.gallery import error_gallery, read_pixels, saliency_sheets
from fer_lightning.analysis.page.study_figures import confusion_counts, draw_figures, level_order, pareto_front
from fer_lightning.analysis.report import report
from fer_lightning.analysis.study_record import gather
from fer_lightning.config.identity import job_id
from fer_lightning.data.faces import CLASSES
from fer_lightning.data.synthetic import draw
from fer_lightning.figures.matplotlib_files import write_figures
from fer_lightning.process.errors import UserError
from fer_lightning.report import main
from fer_lightning.runs.result import read_result, write_result

NO_CONTRASTS = pd.DataFrame(columns=["kind", "name", "estimate", "low", "high"])


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return run_study(tmp_path_factory.getbasetemp())


@pytest.fixture
def study(real, tmp_path):
    """A copy of the real study, to do damage to."""
    return shutil.copytree(real, tmp_path / "grid", ignore=shutil.ignore_patterns("checkpoints"))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    return damaged_study(tmp_path_factory.getbasetemp())


class Page(HTMLParser):
    """What a page is made of: tags, ids, the text that is shown, and scripts by their id."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.ids, self.scripts, self.text, self.script = [], [], {}, "", None
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.ids.append(attributes.get("id"))
        self.script = attributes.get("id", "code") if tag == "script" else None

    def handle_endtag(self, tag):
        self.script = None

    def handle_data(self, data):
        if self.script:
            self.scripts[self.script] = self.scripts.get(self.script, "") + data
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_sweep_ends_in_a_page_with_every_section(real):
    shown = Page(real / "report.html")
    assert set(page.SECTIONS) <= set(shown.ids)
    for figure in ("ranking", "by_axis", "interaction", "contrasts", "cost_total", "confusion"):
        assert json.loads(shown.scripts[f"figure-{figure}"])["data"]
    curves = json.loads(shown.scripts["curve-data"])
    assert len(curves["runs"]) == 8 and all(run["epochs"] == [1, 2] for run in curves["runs"])
    assert "could not be read" not in shown.text
    assert "8 of 8 jobs done" in shown.text and "Inconclusive" in shown.text
    assert "redistributed" not in shown.text, "drawn faces are nobody's"
    places = [attributes.get(key) or "" for _, attributes in shown.tags for key in ("src", "href")]
    assert not [place for place in places if "://" in place]


def test_a_hostile_name_is_a_name(damaged):
    folder, screen = damaged
    shown = Page(folder / "report.html")
    assert HOSTILE in shown.text and HOSTILE in screen.replace("\n", "")
    assert all(image["src"].startswith("data:image/png") and "onerror" not in image for image in shown.all("img"))
    assert all(json.loads(text) for name, text in shown.scripts.items() if name != "code")
    assert HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|") in (folder / "report.md").read_text()
    assert "$x$" in (folder / "figures" / "ranking.svg").read_text()
    text = (folder / "latex" / "ranking-by-validation-accuracy.tex").read_text()
    assert r"\& | \{\{ 7*7 \}\}" in text and r"\$x\$" in text


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(damaged):
    folder, _ = damaged
    text, markdown = Page(folder / "report.html").text, (folder / "report.md").read_text()
    for name in ("broken-s0/result.json", "gelu-bn-s0/predictions.parquet", "relu-none-s1/metrics.csv", "relu-none-s1/.hydra/config.yaml"):
        assert f"{name} is damaged" in text and name in markdown, name
    assert "hostile-s0/predictions.parquet is missing." in text and "running-s0/" not in text
    table = pd.read_csv(folder / "results.csv")
    assert table["status"].value_counts().to_dict() == {"done": 9, "failed": 1, "running": 1}


def test_a_page_with_published_faces_says_that_they_must_not_be_redistributed(real, tmp_path):
    study = shutil.copytree(real, tmp_path / "study", ignore=shutil.ignore_patterns("checkpoints"))
    for folder in study.glob("*/result.json"):
        result = read_result(folder.parent)
        write_result(folder.parent, result | {"data": result["data"] | {"verdict": "official"}})
    report(study)
    assert "FER-2013 must not be redistributed" in Page(study / "report.html").text


def test_a_study_with_nothing_done_has_a_page(tmp_path):
    (tmp_path / "relu-s0").mkdir()
    job = {"id": "x", "study": "s", "cell": {"head.act": "relu"}, "seed": 0, "overrides": []}
    write_result(tmp_path / "relu-s0", {"status": "running", "job": job})
    assert report(tmp_path) == 1
    shown = Page(tmp_path / "report.html")
    assert set(page.SECTIONS) <= set(shown.ids) and "No job is done yet." in shown.text
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(UserError, match=r"study\.json is damaged"):
        report(tmp_path)


def test_saliency_sheets_are_shown_where_they_were_made(study):
    assert saliency_sheets(gather(study)) == ([], 0)
    for name in ("relu-bn-s0", "gelu-none-s1"):
        shutil.copy(ROOT / "docs" / "synthetic.png", study / name / "saliency.png")
    record = gather(study)
    sheets, number = saliency_sheets(record)
    assert number == 2 and {name for name, _ in sheets} == {"relu-bn-s0", "gelu-none-s1"}
    assert base64.b64decode(sheets[0][1].split(",")[1]) == (ROOT / "docs" / "synthetic.png").read_bytes()


def test_figures_and_tables_as_files(damaged):
    folder, _ = damaged
    figures = draw_figures(gather(folder), {}, NO_CONTRASTS)
    assert {"ranking", "by_axis", "interaction", "confusion", "cost_total"} <= set(figures)
    assert set(figures) <= {path.stem for path in (folder / "figures").iterdir()}
    assert "![Every cell, every seed](figures/ranking.svg)" in (folder / "report.md").read_text()
    few = {name: figures[name] for name in ("ranking", "confusion")}
    for suffix, start in {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}.items():
        first, again = ([path.read_bytes() for path in write_figures(few, folder / "figures", suffix)] for _ in range(2))
        assert first == again and all(content.startswith(start) for content in first)
    text = (folder / "latex" / "ranking-by-validation-accuracy.tex").read_text()
    assert text.count(r"\toprule") == 1 and text.count(r"\\") == 6 and r"18.75 $\pm$ 0.00" in text


def test_the_command(study, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["report", str(study), "--no-pictures"])
    main()
    *_, html, text, table = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in (html, text, table)] == [str(study / name) for name in ("report.html", "report.md", "results.csv")]
    assert not Page(study / "report.html").all("img")
    monkeypatch.setattr(sys, "argv", ["report", str(study), "--figures", "bmp"])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert "pdf" in capsys.readouterr().err


def test_cells_and_levels_are_called_as_the_command_calls_them(real):
    record = gather(real)
    assert level_order(record, "head.act") == ["relu", "gelu"] and level_order(record, "head.norm") == ["none", "bn"]
    assert set(record.labels) == {"relu-none", "relu-bn", "gelu-none", "gelu-bn"} == set(record.cells.index)
    assert all(len(runs) == 2 for runs in record.runs.values())


def test_the_copied_commands_train_the_same_jobs(real):
    record = gather(real)
    for name, line in list(zip(record.jobs["name"], page.run_commands(record), strict=True))[::4]:
        python, m, module, *overrides = shlex.split(line)
        assert (python, m, module) == ("python", "-m", "fer_lightning")
        assert job_id(compose(*overrides)) == record.results[name]["job"]["id"]
    for label, line in zip(record.cells.index, page.cell_commands(record), strict=True):
        act, norm = label.split("-")
        assert {"-m", f"head.act={act}", f"head.norm={norm}", "seed=0,1"} <= set(shlex.split(line))


@pytest.mark.slow
def test_the_command_of_a_shipped_study_runs(command, tmp_path):
    """A job of a study can be run again beside the whole: -m, and a folder of its own."""
    few = ["data=synthetic", "data.train=64", "data.val=14", "data.test=14", "trainer=smoke", "logger=csv", "backbone=compact"]
    done = command("-m", "study=augmentation_ladder", "augment=none,flip", *few, "backbone.widths=[4,4,8]")
    assert done.code == 0, done.text
    record = gather(tmp_path / "multirun" / "augmentation_ladder")
    done = command(*shlex.split(page.cell_commands(record)[0])[3:])
    assert done.code == 0, done.text
    (again,) = tmp_path.glob("multirun/augmentation_ladder-*/*/result.json")
    assert read_result(again.parent)["job"]["id"] in {result["job"]["id"] for result in record.results.values()}


def test_confusion_is_the_sum_over_seeds(real):
    record = gather(real)
    counts = confusion_counts(record, "gelu-bn")
    frames = [pd.read_parquet(real / f"gelu-bn-s{seed}" / "predictions.parquet").query("split == 'test'") for seed in (0, 1)]
    frame = pd.concat(frames)
    predicted = frame[[f"p{c}" for c in range(7)]].to_numpy().argmax(1)
    expected = pd.crosstab(frame["label"], predicted).reindex(index=range(7), columns=range(7), fill_value=0)
    assert np.array_equal(counts, expected)
    shares = draw_figures(record, {}, NO_CONTRASTS)["confusion"].values
    assert shares.sum(1) == pytest.approx(np.ones(7))


def test_the_gallery_shows_the_pictures_that_are_wrong(real):
    record = gather(real)
    gallery = error_gallery(record)
    best = record.cells.index[0]
    frames = [pd.read_parquet(real / f"{best}-s{seed}" / "predictions.parquet") for seed in (0, 1)]
    frames = [frame[frame["split"] == "test"].set_index("row") for frame in frames]
    mean = sum(frame[[f"p{c}" for c in range(7)]] for frame in frames) / 2
    answers = pd.DataFrame({"true": frames[0]["label"], "taken": mean.to_numpy().argmax(1)}).map(CLASSES.__getitem__)
    expected = answers[answers["true"] != answers["taken"]].value_counts()
    assert {(pair.true, pair.taken): pair.count for pair in gallery.pairs}.items() <= expected.to_dict().items()
    assert [pair.count for pair in gallery.pairs] == expected.tolist()[: len(gallery.pairs)]
    faces = draw(train=96, val=32, test=32)
    for pair in gallery.pairs:
        for uri, about in pair.images:
            row = int(about.split(",")[0].removeprefix("row "))
            assert answers.loc[row].tolist() == [pair.true, pair.taken]
            shown = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
            assert np.array_equal(np.asarray(shown), faces.pixels[row, 0])


def test_pictures_come_from_known_sources_only(study):
    folder = study / "gelu-bn-s0"
    result = read_result(folder)
    config = folder / ".hydra" / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("fer_lightning.data.synthetic.draw", "os.system"))
    with pytest.raises(UserError, match=r"os\.system, which a report does not run"):
        read_pixels(folder, result)
    config.write_text(text.replace("train: 96", "train: 97"))
    with pytest.raises(UserError, match="no longer holds"):
        read_pixels(folder, result)
    config.write_text(text.replace("fer_lightning.data.synthetic.draw", "fer_lightning.data.fer2013.read"))
    with pytest.raises(UserError, match="No copy of FER-2013"):
        read_pixels(folder, result)
    assert "os.system" not in error_gallery(gather(study)).why
    config.write_text(text.replace("fer_lightning.data.synthetic.draw", "fer_lightning.data.old_place.draw"))
    assert len(read_pixels(folder, result)) == 96 + 32 + 32  # the module may move; the target's name tells


def test_configs_side_by_side(study):
    configs = read_configs(gather(study))
    differing, common = split_common(configs)
    assert set(differing) == {"head.act._target_", "head.norm._target_"}
    assert differing.loc["gelu-bn", "head.act._target_"] == "torch.nn.GELU"
    assert common["batch_size"] == "32" and common["phases"] == "{}" and common["patience"] == "null" and "seed" not in common
    path = study / "gelu-bn-s1" / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("batch_size: 32", "batch_size: 64"))
    differing, _ = split_common(read_configs(gather(study)))
    assert differing["batch_size"].to_dict() == {"gelu-bn": "32 / 64", "gelu-none": "32", "relu-bn": "32", "relu-none": "32"}


def test_long_curves_are_thinned_to_their_last_epoch(real, monkeypatch):
    record = gather(real)
    curve = pd.DataFrame({"epoch": range(100), "val/loss": np.linspace(2, 1, 100)})
    curves = dict.fromkeys(record.jobs["name"], curve)
    whole = curves_payload(record, curves)
    assert whole["step"] == 1 and whole["runs"][0]["epochs"] == list(range(1, 101))
    monkeypatch.setattr("fer_lightning.analysis.page.curves.MOST_NUMBERS", 200)
    thin = curves_payload(record, curves)
    assert thin["step"] == 5 and all(run["epochs"][-1] == 100 and len(run["epochs"]) == 20 for run in thin["runs"])
    assert thin["runs"][0]["scores"]["val/loss"][-1] == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_pareto_front(points):
    front = {points[i] for i in pareto_front([cost for cost, _ in points], [value for _, value in points])}
    beaten = {p for p in points for q in points if q[0] <= p[0] and q[1] >= p[1] and q != p}
    assert front == set(points) - beaten


def test_leaking_pictures_are_counted(study):
    for path in study.glob("*/result.json"):
        result = read_result(path.parent)
        result["metrics"]["test"] |= {"n": 32, "n_clean": 24}
        write_result(path.parent, result)
    (row,) = tables.data(gather(study)).table.to_dict("records")
    assert row["clean of identical twins"] == "24 (25.0 % leak)" and (row["runs"], row["verdict"]) == ("8", "synthetic")
    result["protocol"] = "swapped"
    write_result(path.parent, result)
    found = tables.data(gather(study))
    assert len(found.table) == 2 and "not comparable" in found.text[1]
