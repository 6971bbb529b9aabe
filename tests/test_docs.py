"""Every command that the docs show works, on few pictures. A command that the docs do not show is no loss here."""

import json
import shlex
import shutil
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from helpers.photographs import astronaut
from helpers.project import ROOT, RUNTIME, TINY, squeeze
from helpers.real_study import run_study
from PIL import Image

from fer_lightning.photos.detector import is_installed

# docs/ferplus.md needs the real votes (tests/data/test_ferplus.py), docs/loggers.md a server (tests/loggers/test_wandb_offline.py),
# docs/distributed.md processes of its own (tests/training/test_processes.py), docs/extend.md a package (tests/test_extend.py),
# docs/data.md images (tests/commands/test_evaluate.py).
NAMES = ("quickstart", "studies", "audit", "compare", "explain", "export", "predict", "report", "search", "stability", "status")
PAGES = ["README.md", *(f"docs/{name}.md" for name in NAMES)]
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
    few = ["hydra.sweeper.n_trials=2"] if "hydra/sweeper=optuna" in line else []
    return [*(TINY if "backbone=" not in line else FEW), *few]


@pytest.fixture
def finished(tmp_path, tmp_path_factory):
    """A study in multirun/NAME, a picture of a face, and a small copy in data/."""
    from fer_lightning.data.synthetic import draw

    shutil.copytree(run_study(tmp_path_factory.getbasetemp()), tmp_path / "multirun" / "NAME")
    faces = draw(train=21, val=7, test=7)
    Image.fromarray(faces.pixels[0, 0]).save(tmp_path / "face.jpg")
    add_photos(tmp_path)
    splits = ("Training", "PublicTest", "PrivateTest")
    pixels = [" ".join(map(str, picture.ravel())) for picture in faces.pixels]
    rows = {"emotion": faces.labels, "pixels": pixels, "Usage": [splits[u] for u in faces.usage]}
    (tmp_path / "data").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "data" / "fer2013.csv", index=False)


def add_photos(folder):
    """photo.jpg, photos/ and clip.mp4, if there is what is needed to find the faces in them."""
    if is_installed():
        import cv2

        astronaut().save(folder / "photo.jpg")
        (folder / "photos").mkdir()
        astronaut().save(folder / "photos" / "astronaut.jpg")
        writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 4, (512, 512))
        for _ in range(4):
            writer.write(np.asarray(astronaut())[..., ::-1])
        writer.release()


def test_the_docs_show_commands():
    assert len(list(shown())) > 20


# What a command must have printed, and which files it must have left, by its first words; the first entry that fits counts.
PROMISES = {
    "fer_lightning --cfg job": (["batch_size: 128", "_target_: lightning.Trainer"], []),
    "fer_lightning -m": (["Report:"], ["multirun/*/study.json", "multirun/*/report.html", "multirun/*/results.csv"]),
    "fer_lightning near_twins": (["test accuracy"], ["outputs/*/*/result.json"]),
    "fer_lightning": (["test accuracy"], ["outputs/*/*/result.json", "outputs/*/*/predictions.parquet"]),
    "audit data --json": (["PrivateTest"], ["audit.json", "audit.png"]),
    "audit": (["Fingerprint of Training", "PrivateTest"], []),
    "compare RUN RUN --split val --json": (["Paired test, val"], ["both.json", "changed.csv"]),
    "compare": (["Paired test, test", "Scores"], []),
    "ensemble RUN RUN --average logits": (["2 runs, mean of their logits"], ["outputs/ensembles/both/result.json"]),
    "ensemble multirun/NAME --cell": (["2 runs, mean of their probabilities"], ["outputs/ensembles/*/predictions.parquet"]),
    "ensemble": (["mean of their probabilities"], ["outputs/ensembles/*/result.json"]),
    "explain multirun/NAME": (["by validation"], ["multirun/NAME/*/explain.png"]),
    "explain RUN face.jpg": (["explain_pictures.png"], ["why/explain_pictures.png"]),
    "explain": (["explain.png"], ["multirun/NAME/*/explain.png"]),
    "export RUN --page": (["demo.html"], ["demo.html"]),
    "export": (["ONNX, int8"], ["multirun/NAME/gelu-bn-s0/export/README.md", "multirun/NAME/gelu-bn-s0/export/model.int8.onnx"]),
    "plan": (["jobs", "in all on this machine"], []),
    "predict RUN photos": (["Network:", "1 of 1"], ["out.csv", "out.json", "drawn/photos_astronaut.jpg.jpg"]),
    "predict RUN clip.mp4": (["clip.mp4"], ["clip.csv", "drawn/clip.mp4.jpg"]),
    "predict RUN RUN": (["mean of 2 networks", "face.jpg"], []),
    "predict multirun": (["its best cell by validation", "face.jpg"], []),
    "predict RUN photo.jpg": (["photo.jpg", "1 of 1"], []),
    "predict": (["face.jpg"], []),
    "report multirun/NAME --figures": (["Report:"], ["multirun/NAME/figures/*.pdf", "multirun/NAME/latex/*.tex"]),
    "report": (["Report:"], ["multirun/NAME/report.html", "multirun/NAME/report.md", "multirun/NAME/results.csv"]),
    "saliency": (["saliency.png"], ["multirun/NAME/*/saliency.png"]),
    "status multirun/NAME --json": (['"done": 8', '"over": true'], []),
    "status": (["8 of 8 jobs done"], []),
}


@pytest.mark.parametrize("line", sorted(set(shown())))
def test_a_shown_command_works(command, monkeypatch, request, tmp_path, line):
    if "photo" in line or "clip" in line:
        pytest.importorskip("cv2", reason="needs pip install 'fer_lightning[photos]'")
    _, _, module, *args = shlex.split(line.replace("study=NAME", "study=augmentation_ladder").replace("recipe=NAME", "recipe=uniform_50"))
    if module == "fer_lightning":
        done = command(*args, *([] if "--cfg" in args else arguments(line)))
    else:
        if module == "fer_lightning.plan":
            args += arguments(line)
        else:
            request.getfixturevalue("finished")
            if "--page" in args:
                if not RUNTIME.is_file():
                    pytest.skip(f"no test of the page: there is no {RUNTIME.name}, which npm pack onnxruntime-web@1.30.0 fetches")
                (tmp_path / RUNTIME.name).symlink_to(RUNTIME)
            for name in ("report.html", "report.md", "results.csv"):
                (tmp_path / "multirun" / "NAME" / name).unlink(missing_ok=True)  # so that what is there was made by this command
        runs = iter(f"multirun/NAME/{name}" for name in ("gelu-bn-s0", "gelu-bn-s1", "relu-bn-s0"))
        done = command(*(next(runs) if arg == "RUN" else arg for arg in args), main=import_module(module).main)
    assert done.code == 0, done.text
    assert "Traceback" not in done.text
    shown_as = line.removeprefix("python -m ").removeprefix("fer_lightning.")
    words, files = next(promise for start, promise in PROMISES.items() if shown_as.startswith(start))
    text = squeeze(done.text)
    assert not [word for word in words if word not in text], done.text
    assert not [file for file in files if not [path for path in tmp_path.glob(file) if path.stat().st_size]]
    if "near_twins" in line:
        (result,) = tmp_path.glob("outputs/*/*/result.json")
        assert "accuracy_clean_near" in result.read_text()
    if "fer_lightning -m " in line:
        (study,) = tmp_path.glob("multirun/*/study.json")
        planned = json.loads(study.read_text())["jobs"]
        results = [json.loads(path.read_text()) for path in study.parent.glob("*/result.json")]
        assert len(results) == (2 if planned is None else len(planned)) and {result["status"] for result in results} == {"done"}
