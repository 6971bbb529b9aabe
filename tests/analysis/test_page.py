"""The page of a report in a real browser, of a study with damage and hostile names in it. Skipped by name where there is no browser."""

import contextlib
import functools
import io
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.real_study import damaged_study

from fer_lightning.analysis.page import html as page
from fer_lightning.analysis.page.study_figures import confusion_counts
from fer_lightning.analysis.report import report
from fer_lightning.analysis.study_record import gather
from fer_lightning.runs.result import read_result, write_result

CLIPBOARD = ["clipboard-read", "clipboard-write"]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    return damaged_study(tmp_path_factory.getbasetemp())[0]


@pytest.fixture(scope="module")
def tabs(browser, damaged):
    """A function that opens the page at a width, once for each; and the list of what went wrong in it or left it."""
    troubles = []

    @functools.cache
    def open_tab(width, scheme="light"):
        size = {"width": width, "height": 900}
        tab = browser.new_context(viewport=size, color_scheme=scheme, permissions=CLIPBOARD).new_page()
        tab.on("console", lambda message: troubles.append(message.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("request", lambda request: troubles.append(request.url) if not request.url.startswith(("data:", "blob:", "file:")) else None)
        tab.goto((damaged / "report.html").as_uri())
        tab.wait_for_selector("body[data-ready]")
        return tab

    return open_tab, troubles


@pytest.fixture
def opened(tabs):
    open_tab, troubles = tabs
    yield open_tab
    assert troubles == [], "no error, and no request leaves the page"


@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_in_a_browser(opened, width):
    tab = opened(width)
    for section in page.SECTIONS:
        assert tab.locator(f"section#{section} h2").is_visible()
    charts = tab.locator(".chart")
    assert charts.count() >= 8 and all(charts.nth(i).locator("svg.main-svg").count() for i in range(charts.count()))
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "the page itself does not scroll sideways"
    titles = tab.evaluate("[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)")
    assert len(set(titles)) == 4 and not any("Share" in title for title in titles), "no chart offers to upload itself"


def test_a_phone_shows_the_accuracies_without_a_sideways_scroll(opened):
    tab = opened(390)
    for place in (1, 2):  # after the name of the cell
        head = tab.locator("#ranking th").nth(place)
        assert head.inner_text().strip() in ("val %", "test %")
        box = tab.locator("#ranking tbody tr").first.locator("td").nth(place).bounding_box()
        assert box["x"] + box["width"] <= 390
    tab.evaluate("document.querySelector('#stability .scroll').scrollLeft = 300")
    box = tab.locator("#stability tbody td").first.bounding_box()
    assert 0 <= box["x"] < 40, "the name of the cell stays when a table is scrolled"


def test_nothing_in_a_table_is_cut(opened):
    cut = "[...document.querySelectorAll('td')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.textContent)"
    for width in (390, 1400):
        assert opened(width).evaluate(cut) == []


def test_the_top_says_what_was_trained_and_that_the_budget_was_cut(opened):
    tab = opened(1400)
    assert tab.locator("h1").inner_text() == "Activation and normalization of CompactCNN"
    facts = tab.locator(".facts").inner_text().replace("\n", " ")
    assert "Model CompactCNN" in facts and "Epochs 2" in facts and re.search(r"Run \d{4}-\d\d-\d\d", facts)
    assert "trainer.limit_train_batches=4" in tab.locator(".warning").first.inner_text()


def test_drawn_faces_may_be_passed_on(opened):
    assert "redistributed" not in opened(1400).locator("main").inner_text()


def test_training_stands_beside_validation_on_the_same_scale_with_marks_where_phases_begin(browser, tmp_path, damaged):
    shutil.copytree(damaged, tmp_path / "study")
    for name in ("relu-bn-s0", "relu-bn-s1"):
        result = read_result(tmp_path / "study" / name)
        write_result(tmp_path / "study" / name, result | {"phases": {"head": 0, "<b>tune": 1}})
    with contextlib.redirect_stdout(io.StringIO()):
        report(tmp_path / "study")
    tab = browser.new_page()
    tab.goto((tmp_path / "study" / "report.html").as_uri())
    tab.wait_for_selector("body[data-ready]")
    layout = "(id) => document.getElementById(id).layout"
    validation, training = (tab.evaluate(f"({layout})('{id}')") for id in ("curve-chart", "curve-beside"))
    assert validation["yaxis"]["range"] == training["yaxis"]["range"] and training["yaxis"]["title"]["text"] == "train/accuracy"
    assert [shape["x0"] for shape in validation["shapes"]] == [1.5]
    assert [mark["text"] for mark in training["annotations"]] == ["&#60;b&#62;tune"]
    tab.locator("#curve-score").select_option("lr")
    assert not tab.locator("#curve-beside").is_visible(), "there is no such score of the training part"


def test_tables_sort_filter_and_download(opened, tmp_path):
    tab = opened(1400)
    rows = tab.locator("#runs tbody tr")
    column = tab.locator("#runs th", has_text="test %")
    place = column.evaluate("head => head.cellIndex")
    for order, sign in (("ascending", 1), ("descending", -1)):
        column.locator("button").click()
        assert column.get_attribute("aria-sort") == order
        texts = [rows.nth(i).locator("td").nth(place).inner_text() for i in range(rows.count())]
        values = [sign * float(text) for text in texts if text]
        assert len(values) == 9 and values == sorted(values) and texts[9:] == ["", ""], "what is missing comes last"
    tab.locator("#runs input").fill("gelu-bn")
    assert tab.locator("#runs tbody tr:visible").count() == 2 and "2 of 11 rows" in tab.locator("#runs .count").inner_text()
    with tab.expect_download() as download:
        tab.locator("#runs .csv").click()
    download.value.save_as(tmp_path / "runs.csv")
    table = pd.read_csv(tmp_path / "runs.csv")
    assert set(table["run"]) == {"gelu-bn-s0", "gelu-bn-s1"} and table["command"].str.startswith("python -m fer_lightning").all()


def test_commands_are_copied(opened):
    tab = opened(1400)
    button = tab.locator("#ranking .copy").first
    button.click()
    tab.locator("#ranking .copy", has_text="copied").wait_for()  # no predicate in text, which the page's own policy forbids
    assert tab.evaluate("navigator.clipboard.readText()") == button.get_attribute("data-copy")


def test_curves_are_filtered_highlighted_and_logarithmic(opened):
    tab = opened(1400)
    chart = "document.getElementById('curve-chart')"
    assert tab.locator("#curve-count").inner_text() == "7 of 7 runs"
    tab.locator("#curve-filter").fill("relu")
    assert tab.locator("#curve-count").inner_text() == "3 of 7 runs"
    tab.locator("#curve-filter").fill("")
    tab.locator("#curve-cells button", has_text="gelu-bn").click()
    assert tab.locator("#curve-cells button[aria-pressed=true]").count() == 1
    widths = tab.evaluate(f"{chart}.data.map(trace => trace.line.width)")
    assert widths == [0.7, 1.6], "all others in one grey trace"
    tab.locator("#curve-log").check()
    assert tab.evaluate(f"{chart}.layout.yaxis.type") == "log"
    tab.locator("#curve-score").select_option("val/loss")
    assert tab.evaluate(f"{chart}.layout.yaxis.title.text") == "val/loss"


def test_confusion_of_a_cell_and_of_a_difference(opened, damaged):
    tab = opened(390)
    z = "document.getElementById('chart-confusion').data[0].z"
    tab.locator("#confusion-unit").select_option("count")
    tab.locator("#confusion-cell").select_option(label="gelu-bn")
    counts = confusion_counts(gather(damaged), "gelu-bn") / 2
    assert np.array(tab.evaluate(z)) == pytest.approx(counts)
    tab.locator("#confusion-other").select_option(label="relu-bn")
    assert np.array(tab.evaluate(z)) == pytest.approx(counts - confusion_counts(gather(damaged), "relu-bn") / 2)
    tab.locator("#confusion-cell").select_option("all")
    tab.locator("#confusion-other").select_option("none")
    tab.locator("#confusion-unit").select_option("share")
    assert np.array(tab.evaluate(z)).sum(1) == pytest.approx(np.full(7, 100), abs=0.5)


def test_light_and_dark(opened):
    tab = opened(1400, "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.getElementById('chart-ranking')._fullLayout.font.color"
    dark = tab.evaluate(f"[{ground}, {ink}]")
    tab.locator("#theme").click()
    light = tab.evaluate(f"[{ground}, {ink}]")
    assert dark == ["rgb(20, 23, 27)", "#e6e8eb"] and light == ["rgb(255, 255, 255)", "#1b1f24"]
