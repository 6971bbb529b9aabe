"""Callbacks of a user's own come in by config, from packages that the user named, and stay for the whole run."""

import sys

import pytest
from helpers.project import TINY, compose

from fer_lightning.config.identity import job_id
from fer_lightning.config.targets import check_targets
from fer_lightning.process.errors import ConfigError
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.safety import allowed_targets
from fer_lightning.training.build import own_callbacks
from fer_lightning.training.restore import restore_module

PACKAGE = """
from pathlib import Path
from lightning import Callback
from lightning.pytorch.callbacks import EarlyStopping

class Count(Callback):
    @property
    def state_key(self):
        return f"Count-{self.name}"
    def __init__(self, name: str = "batches"):
        self.name, self.batches = name, 0
    def on_train_batch_end(self, *_):
        self.batches += 1
    def on_train_epoch_end(self, trainer, module):
        module.log(f"own/{self.name}", float(self.batches))
    def state_dict(self):
        return {"batches": self.batches}
    def load_state_dict(self, state):
        self.batches = state["batches"]

class FailOnce(Callback):
    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1 and not Path("failed").exists():
            Path("failed").touch()
            raise RuntimeError("for once")

class Stateful(Callback):
    def state_dict(self):
        return {"a": 1}

class Stop(Callback):
    def on_train_epoch_end(self, trainer, module):
        trainer.should_stop = True

def number():
    return 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module `mine` of the user's, which configs may name."""
    (tmp_path / "mine.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(allowed_targets, "USERS", ("mine",))
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # another test's
    yield
    sys.modules.pop("mine", None)


def test_an_option_of_ones_own_folder_stays_for_all_phases(mine, recipe, command, tmp_path):
    arguments = recipe("phases:\n  1_head: {epochs: 1, freeze: all}\n  2_rest: {epochs: 1}\n")
    (tmp_path / "own" / "callbacks").mkdir()
    (tmp_path / "own" / "callbacks" / "counts.yaml").write_text("all:\n  _target_: mine.Count\n  name: counted\n")
    (tmp_path / "own" / "callbacks" / "more.yaml").write_text("more:\n  _target_: mine.Count\n  name: counted_too\n")
    done = command(*arguments, "callbacks=[counts,more]", "hydra.run.dir=run")
    assert done.code == 0, done.text
    assert [(row["own/counted"], row["own/counted_too"]) for row in read_metrics(tmp_path / "run")] == [(3, 3), (6, 6)]
    sys.modules.pop("mine")
    (tmp_path / "mine.py").unlink()
    restore_module(tmp_path / "run")  # predict and the like do without


def test_a_callback_may_end_the_training(mine, command, tmp_path):
    done = command(*TINY, "trainer.max_epochs=5", "+callbacks.stop._target_=mine.Stop", "logger=csv", "hydra.run.dir=run")
    assert done.code == 0 and len(read_metrics(tmp_path / "run")) == 1, done.text
    assert read_result(tmp_path / "run")["status"] == "done"


def test_a_run_that_was_stopped_goes_on_with_the_state_of_its_callbacks(mine, command, tmp_path):
    job = [*TINY, "+callbacks.count._target_=mine.Count", "+callbacks.fail._target_=mine.FailOnce", "logger=csv", "hydra.run.dir=run"]
    with pytest.raises(RuntimeError, match="for once"):
        command(*job)
    assert command(*job).code == 0
    assert [row["own/batches"] for row in read_metrics(tmp_path / "run")] == [3, 6]


def test_another_callback_is_another_job():
    """Without one it is the job of before there were any: tests/config/test_identity.py."""
    assert job_id(compose(*TINY)) != job_id(compose(*TINY, "+callbacks.x._target_=mine.Stop"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["+callbacks.x._target_=mine.number"], r"callbacks\.x is no Lightning callback: let callbacks\.x\._target_ name"),
        (["+callbacks.x=mine"], r"callbacks\.x is no Lightning callback"),
        (["+callbacks.x={}"], r"callbacks\.x is no Lightning callback"),
        (["+callbacks.x={_target_: mine.Count, nam: a}"], r"callbacks\.x\.nam: mine\.Count has no such argument\. Did you mean name\?"),
        (["+callbacks.x={_target_: mine.Count, name: 3}"], r"callbacks\.x\.name=3: wants str, got int"),
        (["+callbacks.x={_target_: mine.Count, _partial_: true}"], r"callbacks\.x is no Lightning callback"),
        (["+callbacks.x._target_=mine.Cont"], r"callbacks\.x\._target_=mine\.Cont cannot be imported"),
        (["+callbacks.x._target_=mine.EarlyStopping"], "is refused"),  # the package only imports it
        (["+callbacks.x._target_=lightning.pytorch.callbacks.ModelCheckpoint"], "is refused"),  # writes wherever it is told to
        (["+callbacks.x._target_=lightning.pytorch.callbacks.LambdaCallback"], "is refused"),
        (["+callbacks.x._target_=os.system"], r"For your own package, set FER_LIGHTNING_PACKAGES=NAME"),
        ([f"+callbacks.{x}._target_=mine.Stateful" for x in "ab"], r"callbacks\.a and callbacks\.b keep their state under one name"),
    ],
)
def test_what_is_no_callback_is_one_sentence(mine, overrides, sentence):
    cfg = compose(*TINY, *overrides)
    with pytest.raises(ConfigError, match=sentence):
        check_targets(cfg)
        own_callbacks(cfg)


def test_a_strangers_callback_is_refused_before_it_is_imported(tmp_path, command):
    (tmp_path / "theirs.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    done = command(*TINY, "+callbacks.x._target_=theirs.Callback", "hydra.run.dir=run")
    assert done.code == 1 and "callbacks.x._target_=theirs.Callback is refused" in done.text and not (tmp_path / "ran").exists()


def test_what_was_meant(command):
    own = "callbacks.x._target_"
    for typed, meant in (("+trainer.callbacks=[]", "callbacks=NAME adds"), (f"{own}=mine.Stop", f"write +{own}=VALUE")):
        done = command(*TINY, typed)
        assert done.code == 1 and meant in done.text, done.text
