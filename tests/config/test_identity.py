"""The identity of a job is what its config means: it stays when a class moves inside its package."""

import inspect
import shutil
import sys
from importlib import import_module

import pytest
import yaml
from helpers.project import CONF, TINY, compose, options
from omegaconf import OmegaConf

from fer_lightning import __version__
from fer_lightning.config import targets
from fer_lightning.config.identity import job_id, target_name, training_config
from fer_lightning.config.targets import check_targets, follow_moves
from fer_lightning.model.backbones import compact, resnet
from fer_lightning.process.errors import ConfigError
from fer_lightning.safety import allowed_targets
from fer_lightning.safety.allowed_targets import OWN, own_names

COMPACT = "fer_lightning.model.backbones.compact.CompactCNN"
BEFORE_THE_MOVE = "fer_lightning.backbones.compact.CompactCNN"
GONE = "fer_lightning.backbones.compact.TinyCNN"
USERS_CLASS = "class Wide:\n    def __init__(self, width: int = 8):\n        self.width = width\n"


def identity(backbone, *overrides):
    return job_id(compose(*TINY, f"backbone._target_={backbone}", *overrides))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's own, `home`, that configs may name; forgotten again after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(allowed_targets, "USERS", ("home",))
    monkeypatch.setattr(targets, "USERS", ("home",))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "__init__.py").touch()
    yield tmp_path / "home"
    for name in [name for name in sys.modules if name.partition(".")[0] == "home"]:
        del sys.modules[name]


def test_a_target_counts_by_package_and_name():
    assert target_name(COMPACT) == target_name(BEFORE_THE_MOVE) == "fer_lightning:CompactCNN"
    assert target_name("torch.optim.AdamW") == target_name("torch.optim.adamw.AdamW") == "torch:AdamW"
    assert target_name("home.Wide") == "home:Wide" != target_name("yours.Wide")


def test_what_a_key_refers_to_counts_wherever_it_stands():
    rate = compose("study=frozen_head_grid").optimizer.lr
    assert job_id(compose("study=frozen_head_grid")) == job_id(compose("study=frozen_head_grid", f"optimizer.lr={rate}"))
    own = compose("study=frozen_head_grid", "study.rates={torch.nn.GELU: {torch.nn.BatchNorm1d: 0.5}}")
    assert training_config(own)["optimizer.lr"] == 0.5


def test_a_class_of_ours_may_move(monkeypatch):
    here = identity(COMPACT)
    monkeypatch.setattr(compact.CompactCNN, "__module__", resnet.__name__)
    monkeypatch.setattr(resnet, "CompactCNN", compact.CompactCNN, raising=False)
    cfg = compose(*TINY, "backbone._target_=fer_lightning.model.backbones.resnet.CompactCNN")
    check_targets(cfg)
    assert job_id(cfg) == here != identity("fer_lightning.model.backbones.resnet.ResNet")


def test_a_class_of_the_user_may_move(package):
    (package / "nets.py").write_text(USERS_CLASS)
    cfg = compose(*TINY, "~backbone.widths", "backbone._target_=home.nets.Wide", "~backbone.pool")
    check_targets(cfg)
    (package / "nets.py").unlink()
    (package / "wide").mkdir()
    (package / "wide" / "__init__.py").write_text(USERS_CLASS)
    moved = compose(*TINY, "~backbone.widths", "backbone._target_=home.wide.Wide", "~backbone.pool")
    check_targets(moved)
    assert job_id(moved) == job_id(cfg) and training_config(moved) == training_config(cfg)


def test_a_name_that_a_package_defines_twice_is_refused(package):
    (package / "small.py").write_text(USERS_CLASS)
    (package / "large.py").write_text(USERS_CLASS)
    cfg = compose(*TINY, "~backbone.widths", "backbone._target_=home.small.Wide", "~backbone.pool")
    with pytest.raises(ConfigError, match=r"backbone: home defines Wide in .*large\.py and .*small\.py\. .*rename one\."):
        check_targets(cfg)


def test_other_targets_are_other_jobs():
    acts = [job_id(compose(*TINY, f"head.act={name}")) for name in options("head.act")]
    backbones = [job_id(compose("data=synthetic", f"backbone={name}")) for name in options("backbone")]
    assert len(set(acts)) == len(acts) and len(set(backbones)) == len(backbones)


def test_a_key_that_was_added_counts_where_it_changes_something():
    cfg = compose(*TINY)
    before = OmegaConf.masked_copy(cfg, [key for key in cfg if key not in ("select", "callbacks")])
    assert job_id(cfg) == job_id(before) != job_id(compose(*TINY, "select=last"))


def test_a_target_in_a_list_counts_too():
    def plugins(name):
        return compose(*TINY, f"+trainer.plugins=[{{_target_: lightning.pytorch.plugins.{name}}}]")

    assert training_config(plugins("environments.SLURMEnvironment"))["trainer.plugins"] == [{"_target_": "lightning:SLURMEnvironment"}]
    assert job_id(plugins("environments.SLURMEnvironment")) != job_id(plugins("environments.TorchElasticEnvironment"))


def test_no_two_allowed_targets_share_package_and_name():
    """Of Lightning, fabric and pytorch have precision plug-ins of one name, and its Trainer takes only the latter."""
    places = [*own_names().values()]
    for place in ("torch.nn", "torch.optim"):
        found = {id(c): f"{c.__module__}.{c.__name__}" for c in vars(import_module(place)).values() if inspect.isclass(c)}
        places += [name for name in found.values() if name.startswith(f"{place}.")]
    names = [target_name(place) for place in places]
    assert len(names) == len(set(names)) and len(own_names()) > 30 and all(place.startswith(OWN) for place in own_names().values())


def test_every_name_of_ours_is_defined_once():
    """`own_names` is a dict, in which the second of two would hide the first."""
    defined = []
    for place in OWN:
        path = CONF.parent / place.replace(".", "/")
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
            module = import_module(".".join(file.relative_to(CONF.parent).with_suffix("").parts).removesuffix(".__init__"))
            found = [c for c in vars(module).values() if inspect.isclass(c) or inspect.isfunction(c)]
            defined += [c.__name__ for c in found if c.__module__ == module.__name__ and not c.__name__.startswith("_")]
    assert sorted(defined) == sorted(own_names())


def test_a_config_from_before_a_move_is_followed():
    cfg = compose(*TINY)
    old = compose(*TINY, f"backbone._target_={BEFORE_THE_MOVE}")
    assert follow_moves(old) == cfg and old.backbone._target_ == BEFORE_THE_MOVE and job_id(old) == job_id(cfg)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    from helpers.real_study import run_study

    return next(path for path in run_study(tmp_path_factory.getbasetemp()).iterdir() if path.name == "relu-bn-s0")


def named(finished, tmp_path, target):
    """A copy of a finished run whose config names another backbone."""
    folder = shutil.copytree(finished, tmp_path / "run")
    path = folder / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["backbone"]["_target_"] = target
    path.write_text(yaml.safe_dump(config))
    return folder


def test_a_run_from_before_a_move_is_restored(finished, tmp_path):
    from fer_lightning.training.restore import restore

    cfg, _, _, module = restore(named(finished, tmp_path, BEFORE_THE_MOVE))
    assert isinstance(module.backbone, compact.CompactCNN) and cfg.backbone._target_ == COMPACT


def test_a_run_whose_class_is_gone_says_which_and_by_whom_it_was_made(finished, tmp_path):
    from fer_lightning.training.restore import restore

    with pytest.raises(ConfigError) as refused:
        restore(named(finished, tmp_path, GONE))
    assert str(refused.value).startswith(f"backbone._target_={GONE} is refused: fer_lightning {__version__} builds")
    assert f"was made with fer_lightning {__version__}, commit " in str(refused.value)


def test_a_package_that_is_found_twice_defines_its_names_once(package, monkeypatch):
    (package / "__init__.py").unlink()
    (package / "nets.py").write_text(USERS_CLASS)
    monkeypatch.syspath_prepend(f"{package.parent}/.")
    check_targets(compose(*TINY, "~backbone.widths", "backbone._target_=home.nets.Wide", "~backbone.pool"))
    assert len(sys.modules["home"].__path__) == 2
