"""Every file that may come from anyone is read by safety/untrusted_files.py; and every text file is UTF-8, whatever the locale."""

import ast

from helpers.project import ROOT

# Who else reads a file, and why it may.
OTHERS = {
    "__main__.py": "its own source",
    "analysis/page/gallery.py": "saliency.png and explain.png, after check_file",
    "analysis/page/html.py": "its own templates",
    "config/targets.py": "packages that the user has allowed",
    "data/cache.py": "the user's own cache",
    "data/csv_reader.py": "data, bounded by the reader itself",
    "data/ferplus.py": "data, bounded by the reader itself",
    "data/folder_reader.py": "data, bounded by the reader itself",
    "data/image_layouts.py": "labels of the user's own data, after check_file",
    "data/near_twins.py": "the user's own cache",
    "data/parquet_reader.py": "data, bounded by the reader itself",
    "data/picture_file.py": "pictures, after check_file",
    "model/backbones/hub.py": "weights that the user names",
    "model/backbones/timm_model.py": "weights that the user names",
    "model/backbones/transformers_model.py": "weights that the user names",
    "photos/drawing.py": "what it is about to replace, after check_file",
    "runs/metrics_csv.py": "of a job that goes on in its own folder",
    "safety/untrusted_files.py": "the one guarded reader",
    "shipping/page.py": "its own templates; onnxruntime-web, after check_file and its hash",
    "sweep/lock.py": "written by the same sweep",
    "training/checkpoints.py": "checkpoints, each part checked by its CRC",
    "training/environment.py": "/proc/cpuinfo",
    "training/feature_table.py": "tables of the same sweep",
    "training/processes.py": "errors of its own processes",
}
READERS = {"read_text", "read_bytes", "read_json", "read_csv", "read_parquet", "read_table", "ParquetFile", "ZipFile"}
LOADERS = {"OmegaConf.load", "yaml.load", "json.load", "np.load", "torch.load", "Image.open", "gzip.open", "tarfile.open"}
GUARDED = {"read_text", "read_parquet", "read_json"}  # as functions, those of the guarded module


def calls():
    """(file, call) of every call in the package."""
    for path in sorted((ROOT / "fer_lightning").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield str(path.relative_to(ROOT / "fer_lightning")), node


def mode_of(node):
    """The mode of a call of open()."""
    given = [*(a.value for a in node.args[1:2] if isinstance(a, ast.Constant)), *(k.value.value for k in node.keywords if k.arg == "mode")]
    return given[0] if given else "r"


def test_nobody_else_reads_what_may_come_from_anyone():
    found = set()
    for file, node in calls():
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        reads = called == "open" and "r" in mode_of(node)
        reads |= called in LOADERS or (name in READERS and called not in GUARDED)
        if reads:
            found.add(file)
    assert found - set(OTHERS) == set()
    assert not [file for file, node in calls() if ast.unparse(node.func) == "OmegaConf.load"]


def test_text_files_are_utf8_in_any_locale():
    wrong = []
    for file, node in calls():
        name = ast.unparse(node.func).rpartition(".")[2]
        keywords = {keyword.arg for keyword in node.keywords}
        if ast.unparse(node.func) == "open" and "b" not in mode_of(node) and "encoding" not in keywords:
            wrong.append(f"{file}:{node.lineno}")
        if name == "read_text" and isinstance(node.func, ast.Attribute) and not (node.args or "encoding" in keywords):
            wrong.append(f"{file}:{node.lineno}")
        if (name == "write_text" and "encoding" not in keywords) or ("text" in keywords and name == "run"):
            wrong.append(f"{file}:{node.lineno}")
    assert wrong == []
