"""The page that runs a network in a browser: what it needs, what it holds, and in a real Chromium that it answers as `predict` does.

The browser tests need onnxruntime-web: `npm pack onnxruntime-web@1.30.0` in the project's folder, or its path in ONNXRUNTIME_WEB.
"""

import base64
import gzip
import hashlib
import re
import socket
import socketserver
import threading
import time

import numpy as np
import pytest
from helpers.project import RUNTIME
from helpers.real_study import run_pair
from PIL import Image

from fer_lightning.data.faces import CLASSES
from fer_lightning.data.picture_file import read_picture
from fer_lightning.data.synthetic import draw
from fer_lightning.export import main
from fer_lightning.process.errors import UserError
from fer_lightning.shipping import page
from fer_lightning.training.inference import probabilities

pytest.importorskip("onnxscript")


def test_a_page_needs_the_release_that_it_was_tested_with(command, tmp_path):
    done = command("nowhere", "--page", "demo.html", main=main)
    assert done.code == 1 and f"{page.RUNTIME} cannot be read (No such file" in done.text and f"npm pack {page.RELEASE}" in done.text
    (tmp_path / page.RUNTIME).write_bytes(b"another")
    done = command("nowhere", "--page", "demo.html", main=main)
    assert done.code == 1 and "is not onnxruntime-web@1.30.0 as npm has it" in done.text
    done = command("nowhere", "--page", "no/demo.html", main=main)
    assert done.code == 1 and "there is no folder no" in done.text
    assert "Traceback" not in done.text and not list(tmp_path.glob("**/*.html"))
    (tmp_path / "index.html").write_text("<title>Of the user</title>")
    done = command("nowhere", "--page", "index.html", main=main)
    assert done.code == 1 and "index.html is not of this program, which would replace it" in done.text


def test_a_page_holds_everything_and_allows_no_request(tmp_path, monkeypatch):
    (tmp_path / "x.onnx").write_bytes(b"a network")
    runtime, facts = {"script": b"a script", "wasm": b"code"}, {"network": "</dd><script>alert(1)</script>"}
    (tmp_path / "x.html").touch()  # as mktemp leaves it
    for _ in range(2):  # also over its own page
        page.check_page(tmp_path / "x.html")
        page.write_page(tmp_path / "x.html", tmp_path / "x.onnx", runtime=runtime, facts=facts, classes=CLASSES, size=48)
    text = (tmp_path / "x.html").read_text("utf-8")
    packed = dict(re.findall(r'<script type="text/plain" id="(\w+)">(.*?)</script>', text))
    assert {name: gzip.decompress(base64.b64decode(content)) for name, content in packed.items()} == {
        "runtime": b"a script", "wasm": b"code", "network": b"a network",
    }  # fmt: skip
    (script,) = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', text)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "connect-src 'none'" in policy and "default-src 'none'" in policy
    assert "alert(1)</script>" not in text and not re.search(r"(src|href)=", text.replace(policy, ""))
    assert [text.count(f"<li><span>{name}</span>") for name in CLASSES] == [1] * 7
    monkeypatch.setattr(page, "LARGEST", 8)
    with pytest.raises(UserError, match="a page holds 0 MB at most"):
        page.write_page(tmp_path / "x.html", tmp_path / "x.onnx", runtime=runtime, facts={}, classes=CLASSES, size=48)


# In a browser.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_pair(tmp_path_factory.getbasetemp()) / "s0"


@pytest.fixture(scope="module")
def demo(run, browser, tmp_path_factory):
    if not RUNTIME.is_file():
        pytest.skip(f"no test of the page: there is no {RUNTIME.name}; npm pack {page.RELEASE} fetches it")
    from fer_lightning.shipping.export_run import export  # onnx

    folder = tmp_path_factory.mktemp("page")
    export(run, folder / "export", int8=False, page=folder / "demo.html", runtime=RUNTIME)
    return folder / "demo.html"


@pytest.fixture
def open_page(browser, demo):
    """A function that opens the page at a width. Afterwards: nothing went wrong in it, unless it was `meant`, and no request left it."""
    troubles, contexts = [], []

    def open_at(width=1400, scheme="light", *, script=None, meant=False):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["camera"])
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        if not meant:
            tab.on("console", lambda message: troubles.append(message.text))
            tab.on("request", lambda request: troubles.append(request.url) if not request.url.startswith(("blob:", "file:")) else None)
        if script:
            tab.add_init_script(script)
        tab.goto(demo.as_uri())
        tab.wait_for_selector("body[data-ready]")
        return tab

    yield open_at
    for context in contexts:
        context.close()
    assert troubles == [], "no error, and no request leaves the page"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Faces as people have them: grey, in colour, wide, tall, odd, small, rotated by EXIF."""
    folder = tmp_path_factory.mktemp("pictures")
    face = Image.fromarray(draw(train=7, val=7, test=7).pixels[3, 0])
    face.save(folder / "face.png")
    wide = Image.new("RGB", (521, 334), (90, 120, 60))
    wide.paste(Image.merge("RGB", [face, face.point(lambda v: v // 2), face]).resize((301, 301)), (113, 20))
    wide.save(folder / "wide.png")
    wide.save(folder / "wide.jpg", quality=88)
    wide.transpose(Image.Transpose.ROTATE_90).save(folder / "tall.webp", lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.save(folder / "rotated.jpg", quality=95, exif=exif)
    face.resize((20, 31)).save(folder / "small.bmp")
    return folder


def shown(tab):
    return np.array(tab.evaluate("[...document.querySelectorAll('#bars li')].map(bar => Number(bar.dataset.probability))"))


def crop(tab):
    """The 48 x 48 grey pixels that the page shows as those the network saw."""
    read = "[...document.getElementById('crop').getContext('2d').getImageData(0, 0, 48, 48).data].filter((_, i) => i % 4 == 0)"
    return np.array(tab.evaluate(read), np.uint8).reshape(1, 48, 48)


def answered(tab, after=None):
    """Wait until the page shows an answer, and one other than `after`; returns it."""
    tab.wait_for_selector("#answer:visible")
    if after is not None:
        tab.wait_for_function("before => document.querySelector('#bars li').dataset.probability != before", arg=str(after[0]))
    return shown(tab)


def test_the_page_answers_as_predict_does(open_page, pictures, run):
    tab, before = open_page(), None
    for path in sorted(pictures.iterdir()):
        tab.set_input_files("#file", path)
        before = answered(tab, before)
        np.testing.assert_array_equal(crop(tab), read_picture(path), err_msg=path.name)
        np.testing.assert_allclose(before, probabilities(run, read_picture(path)[None])[0], atol=1e-4, err_msg=path.name)
        assert CLASSES[before.argmax()] in tab.locator("#best").inner_text()


@pytest.mark.parametrize(("width", "scheme", "ground"), [(390, "dark", "rgb(20, 23, 27)"), (1400, "light", "rgb(255, 255, 255)")])
def test_it_fits_a_phone_and_a_screen_in_dark_and_light(open_page, pictures, width, scheme, ground):
    tab = open_page(width, scheme)
    tab.set_input_files("#file", pictures / "wide.jpg")
    answered(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    bars = tab.locator("#bars li").last.bounding_box()
    assert bars["x"] + bars["width"] <= width and tab.locator("#bars li").count() == 7


def test_a_square_is_drawn_moved_and_sized(open_page, pictures, run):
    """By pointer and by keys; the network sees what is inside, cut as Pillow cuts it."""
    tab = open_page()
    tab.set_input_files("#file", pictures / "wide.png")
    before = answered(tab)
    assert tab.locator("#best").inner_text().startswith("No face is framed yet. The middle of the picture: ")
    box = tab.locator("#picture").bounding_box()
    tab.mouse.move(box["x"] + 150, box["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 290, box["y"] + 170, steps=3)
    tab.mouse.up()
    before = answered(tab, before)
    assert tab.locator("#best").inner_text().split(",")[0] in CLASSES
    for key in ("ArrowRight", "ArrowDown", "+", "-", "-", "ArrowLeft", "ArrowUp"):
        tab.locator("#stage").press(key)
        before = answered(tab, before)
    tab.mouse.click(box["x"] + 260, box["y"] + 160)
    before = answered(tab, before)
    place = tab.evaluate("(({ left, top, width }) => [left, top, width].map(parseFloat))(document.getElementById('square').style)")
    with Image.open(pictures / "wide.png") as picture:
        grey, (left, top, side) = picture.convert("L"), np.array(place) / 100 * [picture.width, picture.height, picture.width]
    expected = np.asarray(grey.resize((48, 48), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)))
    assert np.abs(crop(tab)[0].astype(int) - expected).max() <= 1  # the style has six digits
    np.testing.assert_allclose(before, probabilities(run, crop(tab)[None])[0], atol=1e-4)


def test_all_of_it_is_reached_by_keys(open_page, pictures):
    tab = open_page()
    tab.set_input_files("#file", pictures / "face.png")
    answered(tab)
    tab.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(3):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
    assert reached == ["file", "camera", "stage"]


def test_a_dropped_photo_and_one_that_is_none(open_page, pictures, run):
    tab = open_page()
    drop = """([name, text]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    content = (pictures / "wide.jpg").read_bytes()
    tab.evaluate(drop, ["wide.jpg", base64.b64encode(content).decode()])
    np.testing.assert_allclose(answered(tab), probabilities(run, read_picture(pictures / "wide.jpg")[None])[0], atol=1e-4)
    tab.evaluate(drop, ["text.jpg", base64.b64encode(content[:40]).decode()])
    tab.wait_for_function("document.getElementById('status').textContent == 'text.jpg cannot be read as a picture.'")


FINDS = "window.FaceDetector = class { async detect() { return [{ boundingBox: BOX }, { boundingBox: new DOMRect(0, 0, 9, 9) }] } }"


def test_faces_are_found_where_the_browser_can(open_page, pictures, run):
    tab = open_page(script=FINDS.replace("BOX", "new DOMRect(113, 30, 301, 281)"))
    tab.set_input_files("#file", pictures / "wide.png")
    answered(tab)
    assert tab.locator("#status").inner_text().startswith("2 faces; the largest is framed.")
    with Image.open(pictures / "wide.png") as picture:
        expected = picture.convert("L").resize((48, 48), Image.Resampling.BICUBIC, box=(113, 20, 414, 321))
    np.testing.assert_array_equal(crop(tab)[0], np.asarray(expected))


def test_the_camera_starts_and_stops(open_page):
    tab = open_page(390)
    tab.click("#camera")
    first = answered(tab)
    answered(tab, first)  # the next frames are answered too
    assert tab.locator("#camera").inner_text() == "Stop the camera"
    tab.click("#camera")
    assert tab.locator("#camera").get_attribute("aria-pressed") == "false"


@pytest.fixture
def listener():
    """(address, connections so far) of a server on this machine."""
    connections = []
    with socketserver.TCPServer(("127.0.0.1", 0), lambda request, *_: connections.append(request)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", connections
        server.shutdown()


def test_no_request_can_leave_the_page(open_page, listener):
    """Its policy forbids what a changed script would try."""
    address, connections = listener
    tab = open_page(meant=True)
    tab.evaluate("window.blocked = []; addEventListener('securitypolicyviolation', event => blocked.push(event.effectiveDirective))")
    tried = """async (address) => {
        new Image().src = `${address}/x.png`;
        navigator.sendBeacon(address);
        return fetch(address).then(() => false, () => true);
    }"""
    assert tab.evaluate(tried, address)
    tab.wait_for_function("blocked.filter(directive => directive == 'connect-src').length > 1 && blocked.includes('img-src')")
    assert connections == []
    with socket.create_connection(address.removeprefix("http://").split(":")):
        pass
    end = time.monotonic() + 20
    while not connections and time.monotonic() < end:
        time.sleep(0.01)
    assert len(connections) == 1, "the server would have noticed"
