"""`new backbone` writes two files that train at once, and never over anything."""

import re
import sys

import pytest
from helpers.project import TINY

from fer_lightning import new
from fer_lightning.runs.result import read_result
from fer_lightning.safety import allowed_targets


def test_what_it_writes_trains_at_once(command, tmp_path, monkeypatch):
    done = command("backbone", "wide_net", main=new.main)
    assert done.code == 0, done.text
    assert sorted(path.name for path in tmp_path.glob("**/wide_net.*")) == ["wide_net.py", "wide_net.yaml"]
    shown = re.search(r"^FER_LIGHTNING_PACKAGES=(\w+) PYTHONPATH=(\S+) python -m fer_lightning (.+)$", done.text, re.MULTILINE)
    package, path, line = shown.groups()
    monkeypatch.setattr(allowed_targets, "USERS", (package,))
    monkeypatch.syspath_prepend(path)
    settings = [option for option in TINY if not option.startswith("backbone")]
    done = command(*line.split(), "backbone.widths=[4,8]", *settings, "logger=csv", "hydra.run.dir=run")
    sys.modules.pop(package, None)
    assert done.code == 0, done.text
    assert read_result(tmp_path / "run")["model"]["backbone"] == "wide_net.Backbone"


def test_nothing_is_written_over(run_main, tmp_path):
    (tmp_path / "mine.py").write_text("# mine")
    said, _ = run_main(new, "backbone", "mine", "--folder", tmp_path)
    assert said.endswith("mine.py is there already: take another name, or another --folder.\n")
    assert (tmp_path / "mine.py").read_text() == "# mine" and not (tmp_path / "my_conf").exists()
    (tmp_path / "mine.py").unlink()
    assert run_main(new, "backbone", "mine", "--folder", tmp_path / "a b")[0] is None
    assert "is there already" in run_main(new, "backbone", "mine", "--folder", tmp_path / "a b")[0]
    (tmp_path / "file").touch()
    assert run_main(new, "backbone", "mine", "--folder", tmp_path / "file")[0] == f"{tmp_path / 'file'} is a file: give another --folder.\n"
    (tmp_path / "mine.py").symlink_to(tmp_path / "nowhere")  # opening it would write there
    assert "is there already" in run_main(new, "backbone", "mine", "--folder", tmp_path)[0] and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Wide", "is no name for a Python module"),
        ("wide-net", "is no name for a Python module"),
        ("2wide", "is no name for a Python module"),
        ("../wide", "is no name for a Python module"),
        ("größe", "is no name for a Python module"),
        ("a" * 51, "is no name for a Python module"),
        ("class", "is no name for a Python module"),
        ("resnet18", "backbone=resnet18 is there already"),
        ("torch", "A Python module torch is there already"),
        ("json", "A Python module json is there already"),
    ],
)
def test_a_wrong_name_is_one_sentence(run_main, tmp_path, name, sentence):
    said, _ = run_main(new, "backbone", name, "--folder", tmp_path)
    assert sentence in said and said.count("\n") == 1 and not list(tmp_path.glob("*.py"))


def test_only_a_backbone_can_be_started(run_main):
    assert run_main(new, "head", "mine")[0] == "head cannot be started, only a backbone: python -m fer_lightning.new backbone mine\n"
