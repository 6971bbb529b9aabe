"""A network as one HTML page that runs it in a browser: onnxruntime-web and the ONNX file are inside, and no request leaves it."""

import base64
import gzip
import hashlib
import os
import tarfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import check_writable, replace_file
from fer_lightning.safety.untrusted_files import check_file
from fer_lightning.shipping.card import MISUSE

# The runtime is no Python package, and 14 MB are too many for a repository: the user fetches it once. Its hash is the one that npm names
# for this release, so what runs in the page is what was tested.
RELEASE = "onnxruntime-web@1.30.0"
RUNTIME = "onnxruntime-web-1.30.0.tgz"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
LARGEST_RUNTIME = 100_000_000
SCRIPT, WASM = "package/dist/ort.wasm.bundle.min.mjs", "package/dist/ort-wasm-simd-threaded.wasm"

# A browser reads the page into one string and decodes it in memory; Chromium's strings end at 512 MB.
LARGEST = 200_000_000

# With what a page says that it was written here, near its beginning.
TITLE = b"<title>Which expression does the network see?</title>"

TEMPLATES = Path(__file__).parent / "templates"


def check_page(path):
    """UserError if a page cannot be written, or would replace a file that is neither a page nor empty."""
    check_writable(path)
    if path.exists():
        with open(path, "rb") as file:
            start = file.read(2000)
        if start and TITLE not in start:
            raise UserError(f"{path} is not of this program, which would replace it. Move it, or name another file.")


def read_runtime(path):
    """{script, wasm: bytes} of the file that `npm pack` leaves. UserError if it is not there or is another release."""
    how = f"Get it once by: npm pack {RELEASE} (or curl -O https://registry.npmjs.org/onnxruntime-web/-/{RUNTIME})"
    try:
        check_file(os.path.realpath(path), LARGEST_RUNTIME)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha512").digest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"A page needs onnxruntime-web, but {path} cannot be read ({reason}). {how}") from error
    if base64.b64encode(digest).decode() != SHA512:
        raise UserError(f"{path} is not {RELEASE} as npm has it. {how}")
    with tarfile.open(path) as archive:
        return {name: archive.extractfile(member).read() for name, member in (("script", SCRIPT), ("wasm", WASM))}


def write_page(path, onnx, *, runtime, facts, classes, size):
    """Write the page. onnx: the file; runtime: from `read_runtime`; facts: {what: value} of the network; size: of a face in pixels.

    UserError if it is too large.
    """
    if onnx.stat().st_size > LARGEST:
        raise UserError(f"{onnx} has {onnx.stat().st_size / 1e6:.0f} MB: a page holds {LARGEST / 1e6:.0f} MB at most.")
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True)
    script = (TEMPLATES / "page.js").read_text("utf-8")
    html = environment.get_template("page.html").render(
        classes=classes,
        size=size,
        facts=facts,
        misuse=" ".join(MISUSE.split()),
        css=(TEMPLATES / "page.css").read_text("utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        files={"runtime": _packed(runtime["script"]), "wasm": _packed(runtime["wasm"]), "network": _packed(onnx.read_bytes())},
    )
    replace_file(path, html)


def _packed(content):
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
