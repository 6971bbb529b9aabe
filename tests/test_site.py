"""The docs as a site: it builds strictly, has a place for every page, says what the files of conf/ say, and fetches nothing."""

import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers.project import CONF, ROOT

pytest.importorskip("material", reason="not installed: fer_lightning[docs]")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # Whatever asks for the network would fail at this proxy.
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(path):
    return unescape(re.sub(r"<[^>]+>", "", path.read_text()))


def test_every_page_is_built_and_has_a_place(site):
    listed = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / page.with_suffix(".html").name).is_file() and page.name in listed, page.name


def test_the_reference_says_what_the_files_say(site):
    text = text_of(site / "reference.html")
    for path in CONF.rglob("*.yaml"):
        assert path.read_text().strip() in text, path
        if path.parent != CONF:
            assert f"{path.parent.relative_to(CONF)}={path.stem}" in text


def test_the_examples_and_the_readme_are_pages(site):
    text = text_of(site / "examples.html")
    assert all(path.read_text().strip() in text for path in (ROOT / "examples").glob("*.py"))
    assert "Which backbone, norm, activation, optimizer and schedule is really better" in text_of(site / "index.html")
    assert "result.json" in text_of(site / "run_folder.html")


def test_links_to_files_of_the_checkout_lead_to_their_pages(site):
    assert 'href="run_folder.html"' in (site / "quickstart.html").read_text()
    assert 'href="reference.html"' in (site / "clusters.html").read_text()
    for page in set(site.glob("*.html")) - {site / "404.html"}:  # which is shown at any address, so its links begin with /
        links = re.findall(r'(?:href|src)="([^"#]+)', page.read_text())
        assert [link for link in links if "://" not in link and not (site / link.partition("?")[0]).exists()] == [], page.name


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
def test_in_a_browser_nothing_leaves_the_site_no_page_is_wider_than_a_phone_and_the_search_finds(site, address):
    sync_api = pytest.importorskip("playwright.sync_api", reason="no browser test: playwright is not installed")
    if BROWSER is None:
        pytest.skip("no browser test: there is no Chromium")
    troubles = []
    with sync_api.sync_playwright() as playwright:
        tab = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"]).new_page()
        tab.set_default_timeout(120_000)
        own = (address, "data:", "blob:")
        tab.on("request", lambda request: None if request.url.startswith(own) else troubles.append(request.url))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        for width in (390, 1400):
            tab.set_viewport_size({"width": width, "height": 900})
            for page in sorted(site.glob("*.html")):
                tab.goto(address + page.name)
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, page.name
        tab.goto(address + "index.html")
        tab.click("input[name=query]")
        tab.keyboard.type("churn")
        tab.wait_for_selector(".md-search-result__item a[href*='stability.html']", state="attached")
    assert troubles == []
