"""Configs, checkpoints and commands from other people: nothing runs that is not meant to, nothing is written elsewhere, no key is kept."""

import ast
import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
import yaml
from helpers.project import ROOT, TINY, compose
from omegaconf import OmegaConf

from fer_lightning.config.hydra_limits import check_arguments
from fer_lightning.config.targets import check_targets
from fer_lightning.data import cache
from fer_lightning.model.backbones.timm_model import TimmBackbone
from fer_lightning.process.errors import ConfigError, UserError
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.safety import allowed_targets as allowlist
from fer_lightning.safety.allowed_targets import find_target
from fer_lightning.safety.secrets import mask
from fer_lightning.training.restore import restore_module

HOSTILE = [
    "torch.load",
    "torch.nn.modules.module.torch.load",
    "torch.optim.sgd.torch.hub.load",
    "torch.nn.functional.relu",
    "lightning.pytorch.strategies.ddp.torch.load",
    "builtins.open",
    "builtins.eval",
    "pathlib.Path.write_text",
    "os.system",
    "subprocess.run",
    "hydra.utils.instantiate",
    "hydra.utils.get_method",
    "functools.partial",
    "importlib.import_module",
    "fer_lightning.__main__.main",
    "fer_lightning.process.files.replace_file",
    "fer_lightning.loggers.mirrors.Path.write_text",
    "fer_lightning.loggers.mirrors.os.system",
    "fer_lightning.model.losses.torch.load",
    "fer_lightning.model.backbones.compact.CompactCNN.load_state_dict",
    "fer_lightning.model.backbones.timm_model.timm.create_model",
    "torch.nn",
    7,
]

ALLOWED = {
    "torch.nn.GELU": "head.act",
    "torch.optim.AdamW": "phases.tune.optimizer",
    "torch.optim.lr_scheduler.StepLR": "scheduler",
    "lightning.Trainer": "trainer",
    "lightning.pytorch.strategies.FSDPStrategy": "trainer.strategy",
    "lightning.pytorch.plugins.environments.SLURMEnvironment": "trainer.plugins.0",
    "fer_lightning.model.backbones.compact.CompactCNN": "backbone",
    "fer_lightning.loggers.mirrors.mlflow": "logger.mlflow",
}


class Bomb:
    """Unpickled, it creates the file it was given."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("trained")
    command = [sys.executable, "-m", "fer_lightning", *TINY, "logger=csv", "hydra.run.dir=run"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


# Targets


@pytest.mark.parametrize("name", ALLOWED)
def test_what_configs_need_may_be_named(name):
    assert callable(find_target(ALLOWED[name], name))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_target_is_refused_by_what_it_is(name):
    for key in ("x", *ALLOWED.values()):
        with pytest.raises(ConfigError, match=rf"^{key}\._target_=.* is refused: "):
            find_target(key, name)


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("optimizer", "optimizer"),
        ("head.act", "head.act"),
        ("backbone.deep.deeper", "backbone.deep.deeper"),
        ("backbone.widths", "backbone.widths.1"),
        ("optimizer._args_", "optimizer._args_.1"),
    ],
)
def test_a_hostile_target_is_found_wherever_it_lies(place, key, tmp_path):
    cfg = compose("data=synthetic")
    node = {"_target_": "pathlib.Path.write_text", "self": str(tmp_path / "x"), "data": "x", "lr": 1}
    OmegaConf.set_struct(cfg, False)
    OmegaConf.update(cfg, place, [1, node] if key.endswith("1") else node, merge=False, force_add=True)
    with pytest.raises(ConfigError) as refused:
        check_targets(cfg)
    assert str(refused.value).startswith(f"{key}._target_=pathlib.Path.write_text is refused")


def test_a_name_that_a_reference_makes_is_seen():
    cfg = compose("data=synthetic", "+backbone.first=os", "backbone._target_=${backbone.first}.system")
    with pytest.raises(ConfigError, match=r"backbone\._target_=os\.system is refused"):
        check_targets(cfg)


def test_a_foreign_package_is_not_imported_unless_the_environment_names_it(command, process, tmp_path, monkeypatch):
    """Importing runs the top of a module, so the name alone must be enough to refuse it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nimport os\nfrom fer_lightning.model.backbones.compact import CompactCNN\nPath('imported').touch()\n"
        "class Mine(CompactCNN):\n    pass\n"
    )
    arguments = [*TINY, "logger=csv", "hydra.run.dir=run", "backbone._target_=mine.Mine"]
    for inside in ([], ["+hydra.job.env_set.FER_LIGHTNING_PACKAGES=mine"]):  # a config cannot allow itself
        refused = command(*arguments, *inside)
        assert refused.code == 1 and "set FER_LIGHTNING_PACKAGES=NAME" in refused.text and "Traceback" not in refused.text
    assert not (tmp_path / "imported").exists()
    allowed = process("fer_lightning", *arguments, FER_LIGHTNING_PACKAGES="mine")
    assert allowed.code == 0, allowed.text
    assert read_result(tmp_path / "run")["model"]["backbone"] == "mine.Mine" and (tmp_path / "imported").exists()
    monkeypatch.setattr(allowlist, "USERS", ("mine",))
    with pytest.raises(ConfigError, match=r"mine\.os\.system is refused"):
        find_target("x", "mine.os.system")
    del sys.modules["mine"]


def test_a_config_that_is_read_back_is_checked_too(run, tmp_path):
    path = run / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["backbone"] = {"_target_": "os.system", "command": f"touch {tmp_path / 'executed'}", "freeze": "none"}
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=r"backbone\._target_=os\.system is refused"):
        restore_module(run)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "argument",
    [
        "+hydra.callbacks.x._target_=torch.load",
        "hydra.callbacks.study._target_=os.system",
        "hydra.hydra_logging.handlers.console.class=os.system",
        "hydra.job_logging.handlers.file.filename=/etc/x",
        "hydra={callbacks:{x:{_target_:os.system}}}",
        "hydra.sweeper.sampler._target_=os.system",
        "++hydra.launcher={_target_:os.system}",
        "--experimental-rerun=config.pickle",
        "--exp=config.pickle",  # argparse completes it
    ],
)
def test_hydra_runs_nothing_that_the_command_names(argument, command, tmp_path):
    done = command(*TINY, argument)
    assert done.code == 1 and "Traceback" not in done.text and files(tmp_path) == []


def test_hydra_runs_nothing_that_a_file_of_the_user_names(command, tmp_path):
    (tmp_path / "own" / "recipe").mkdir(parents=True)
    (tmp_path / "own" / "recipe" / "mine.yaml").write_text("# @package _global_\nhydra:\n  launcher:\n    _target_: os.system\n")
    done = command("-m", "--config-dir", str(tmp_path / "own"), *TINY, "recipe=mine", "seed=0,1")
    assert done.code == 1 and "hydra.launcher._target_=os.system is refused" in done.text and not (tmp_path / "multirun").exists()


def test_what_is_harmless_of_hydra_may_be_set():
    check_arguments(["hydra.run.dir=/scratch/me", "hydra.sweep.dir=${head.act._target_}", "hydra/job_logging=disabled"])


# Output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hydra.run.dir=../x"], "hydra.run.dir=../x leads out of the current folder"),
        (["hydra.run.dir=a/${head.act._target_}/../../../x"], "leads out of the current folder"),
        (["hydra.job.name=../../x"], "hydra.job.name=../../x: give a plain name"),
        (["hydra.output_subdir=../x"], "hydra.output_subdir=../x: give a plain name"),
        (["-m", "seed=0,1", "hydra.sweep.dir=../../x"], "hydra.sweep.dir=../../x leads out of the current folder"),
        (["-m", "study=../study/schedulers", "backbone=compact"], "multirun/../study/schedulers leads out of the current folder"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=../x"], "../x leads out of the sweep's folder"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=/x"], "/x leads out of the sweep's folder"),
        (["-m", "+backbone.name=a,../../x", "hydra.sweep.subdir=${backbone.name}"], "../../x leads out of the sweep's folder"),
    ],
)
def test_output_that_would_lead_out_is_refused_before_anything_is_written(command, tmp_path, monkeypatch, arguments, sentence):
    (tmp_path / "work" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "here")
    done = command(*arguments[: arguments[0] == "-m"], *TINY, *arguments[arguments[0] == "-m" :])
    assert done.code == 1 and sentence in done.text and "Traceback" not in done.text
    assert files(tmp_path / "work") == [(tmp_path / "work" / "here").relative_to(tmp_path / "work")]


def test_an_absolute_folder_is_meant_and_swept_values_stay_in_it(command, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    swept = '+backbone.name=../../climbs,"/etc/x"'  # an argument that the backbone does not have: each job fails, in its folder
    done = command("-m", *TINY, "logger=csv", swept, f"hydra.sweep.dir={tmp_path / 'scratch' / 'study'}")
    assert done.code == 1 and "0 of 2 jobs done" in done.text
    jobs = [path.parent for path in tmp_path.rglob("result.json")]
    assert len(jobs) == 2 and {path.parent for path in jobs} == {tmp_path / "scratch" / "study"} and files(tmp_path / "work") == []


# Checkpoints

PICKLERS = ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
OWN_ERRORS = ("processes.py", "pickle")  # of the processes of a job, through a folder that is this user's alone


def test_nothing_in_the_source_unpickles_or_runs_what_it_reads():
    """torch.load is always told weights_only=True; pickle, eval, exec, unsafe YAML and NumPy's pickles are nowhere."""
    found = []
    for path in sorted((ROOT / "fer_lightning").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                found += [(path.name, name) for name in names if name.split(".")[0] in PICKLERS]
            if not isinstance(node, ast.Call):
                continue
            called, options = ast.unparse(node.func), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load" and options.get("weights_only") != "True":
                found.append((path.name, called))
            if called == "yaml.load" and options.get("Loader") != "LOADER":
                found.append((path.name, called))
            if called in ("eval", "exec", "pd.read_pickle", "yaml.unsafe_load", "torch.hub.load", "os.system") or "allow_pickle" in options:
                found.append((path.name, called))
            if options.get("trust_remote_code", "False") != "False" or options.get("weights_only", "True") != "True":
                found.append((path.name, called))
            if "shell" in options:
                found.append((path.name, called))
    assert found == [OWN_ERRORS]


def damage(path, kind, marker):
    content = path.read_bytes()
    if kind == "bomb":
        torch.save({"state_dict": {"x": Bomb(marker)}}, path)
    elif kind == "bare bomb":
        path.write_bytes(pickle.dumps(Bomb(marker)))
    elif kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "last byte":
        path.write_bytes(content[:-1])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "flipped":
        with zipfile.ZipFile(path) as archive:
            weights = max(archive.infolist(), key=lambda part: part.file_size)
        place = content.index(weights.filename.encode()) + len(weights.filename) + 200
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
    elif kind == "compressed":
        with zipfile.ZipFile(io.BytesIO(content)) as whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for part in whole.infolist():
                packed.writestr(part.filename, whole.read(part))
    elif kind == "other":
        torch.save({"weights": 1}, path)


@pytest.mark.parametrize("kind", ["bomb", "bare bomb", "cut", "last byte", "empty", "flipped", "compressed", "other"])
def test_a_hostile_or_damaged_checkpoint_is_one_sentence(run, tmp_path, kind):
    weights = run / "checkpoints" / "best.ckpt"
    restore_module(run)
    damage(weights, kind, tmp_path / "executed")
    if kind == "flipped":
        torch.load(weights, weights_only=True)  # torch itself reads it without a word
    with pytest.raises(UserError, match=r"best\.ckpt is damaged, or no checkpoint of ours \(.+\)\.$") as refused:
        restore_module(run)
    assert "\n" not in str(refused.value) and not (tmp_path / "executed").exists()
    if "bomb" in kind:  # it is live
        (torch.load(weights, weights_only=False) if kind == "bomb" else pickle.loads(weights.read_bytes()))
        assert (tmp_path / "executed").exists()


def test_weights_of_another_model_are_one_sentence(run):
    weights = run / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": {"head.weight": torch.zeros(3)}}, weights)
    with pytest.raises(UserError, match="best.ckpt does not fit the config of the run"):
        restore_module(run)


def test_a_pickle_in_the_cache_is_not_loaded(tmp_path):
    pixels = np.zeros((1, 1, 48, 48), np.uint8)
    (tmp_path / "data.csv").write_text("x")

    def read():
        yield pixels, np.zeros(1, np.int64), np.zeros(1, np.int64), False

    cache.load(tmp_path, [tmp_path / "data.csv"], read, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").glob("*.npy")
    np.save(entry, np.array([Bomb(tmp_path / "executed")], dtype=object), allow_pickle=True)
    assert cache.load(tmp_path, [tmp_path / "data.csv"], read, tmp_path / "cache").pixels.shape == (1, 1, 48, 48)
    assert not (tmp_path / "executed").exists()
    np.load(entry.with_suffix(".npy"), mmap_mode="c")  # the entry was made again


def test_a_weight_file_is_checked_against_the_hash_that_the_config_names(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(TimmBackbone("resnet10t").model.state_dict(), file)
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    cfg = compose("backbone=timm", "backbone.name=resnet10t", f"backbone.pretrained={file}@sha256:{right}")
    TimmBackbone(cfg.backbone.name, pretrained=cfg.backbone.pretrained)
    for path, wanted, sentence in ((file, "0" * 64, f"has the sha256 {right}, not 000"), (tmp_path, right, "is no file")):
        with pytest.raises(ConfigError, match=sentence):
            TimmBackbone("resnet10t", pretrained=f"{path}@sha256:{wanted}")


# Secrets

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["logger=wandb", "logger.wandb.project=${oc.env:WANDB_API_KEY}"], "refers to WANDB_API_KEY, which would be saved"),
        (["-m", "seed=0,1", "+backbone.x=${oc.env:HF_TOKEN,none}"], "refers to HF_TOKEN, which would be saved"),
        (["+hydra.job.env_set.WANDB_API_KEY=" + KEY], "hydra.job.env_set.WANDB_API_KEY: it would be saved"),
        (["logger=mlflow", f"logger.mlflow.tracking_uri=https://me:{KEY}@host/x"], "holds a password (https://***@"),
    ],
)
def test_a_config_with_a_secret_is_refused_before_it_is_saved(command, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    done = command(*arguments[: arguments[0] == "-m"], *TINY, *arguments[arguments[0] == "-m" :])
    assert done.code == 1 and sentence in done.text and KEY not in done.text and "Traceback" not in done.text
    assert files(tmp_path) == []


def test_a_key_in_an_error_is_masked_in_what_is_kept(command, tmp_path, monkeypatch):
    """The message, its trace, the log and the report of a job that fails with the key on its lips."""
    (tmp_path / "leaky.py").write_text(
        "import os\ndef build(**arguments):\n    raise RuntimeError(f\"401 for key {os.environ['WANDB_API_KEY']} at https://me:pass@host/\")\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(allowlist, "USERS", ("leaky",))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert command("-m", *TINY, "logger=csv", "backbone._target_=leaky.build", "seed=0,1").code == 1
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert any(b"401 for key ***" in content for content in kept.values())
    assert [path for path, content in kept.items() if KEY.encode() in content or b"me:pass" in content] == []


def test_masking_leaves_the_rest_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("MY_TOKEN", KEY)
    monkeypatch.setenv("OTHER_KEY", "1")
    assert mask(f"a {KEY} 1 https://u:p@h/x http://h:80/u@x") == "a *** 1 https://***@h/x http://h:80/u@x"
    write_result(tmp_path, {"status": "failed", "error": {"message": f"key {KEY}"}})
    assert json.loads((tmp_path / "result.json").read_text())["error"] == {"message": "key ***"}
