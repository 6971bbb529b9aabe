"""Every command that the docs show works, on few pictures. A command that the docs do not show is no loss here."""

import shlex

import pytest
from conftest import ROOT, TINY

PAGES = ["README.md", "docs/studies.md"]
FEW = ["data=synthetic", "data.train=64", "data.val=14", "data.test=14", "trainer=smoke", "logger=csv"]


def shown():
    for page in PAGES:
        for line in (ROOT / page).read_text().splitlines():
            if line.startswith("    python -m fer_lightning"):
                yield line.split("#")[0].strip()


def arguments(line):
    """What to add so that a command ends soon: few pictures, and the small compact CNN where the command names no backbone."""
    if "recipe=NAME" in line:
        return [*FEW, "backbone=compact", "backbone.widths=[4,4,8]"]
    if "study=NAME" in line:
        return [*FEW, "backbone=compact", "backbone.widths=[4,4,8]", "augment=none,flip"]
    return TINY if "backbone=" not in line else FEW


def test_the_docs_show_commands():
    assert len(list(shown())) > 8


@pytest.mark.parametrize("line", sorted(set(shown())))
def test_a_shown_command_works(command, process, tmp_path, line):
    _, _, module, *args = shlex.split(line.replace("study=NAME", "study=augmentation_ladder").replace("recipe=NAME", "recipe=uniform_50"))
    if module == "fer_lightning.report":
        assert command("-m", "seed=0,1", *TINY, "logger=csv", "hydra.sweep.dir=multirun/NAME").code == 0
    if module == "fer_lightning":
        done = command(*args, *([] if "--cfg" in args else arguments(line)))
    else:
        done = process(module, *args, *(arguments(line) if module == "fer_lightning.plan" else []))
    assert done.code == 0, done.text
    assert "Traceback" not in done.text
