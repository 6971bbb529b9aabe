"""Wrong inputs: each gives one sentence that names the key and the remedy, soon, before training, and leaves nothing behind."""

import copy
import inspect
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from helpers.project import TINY, compose, squeeze
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fer_lightning.config.checks import check_config
from fer_lightning.config.trainer_keys import INSTEAD, check_validation
from fer_lightning.config.typed import arrange
from fer_lightning.process.errors import ConfigError

# (overrides, what the sentence says): numbers that no run can have.
NUMBERS = [
    ("seed=-1", "a seed is 0 to 4294967295"),
    ("seed=4294967296", "a seed is 0 to 4294967295"),
    ("epochs=0", "give a whole number, 1 or more"),
    ("epochs=-3", "give a whole number, 1 or more"),
    ("batch_size=0", "give a whole number, 2 or more"),
    ("batch_size=1", "give a whole number, 2 or more"),
    ("batch_size=-3", "give a whole number, 2 or more"),
    ("eval_batch_size=0", "give a whole number, 1 or more"),
    ("timed_passes=-1", "give a whole number, 0 or more"),
    ("ema_decay=nan", "give a number, 0 to 1 (or null)"),
    ("ema_decay=1.5", "give a number, 0 to 1 (or null)"),
    ("patience=-1", "give a whole number, 0 or more (or null)"),
    ("near_twins=0.5", "give a number, 0.9 to 1 (or null)"),
    ("input_size=0", "give a whole number, 2 to 1024 (or null)"),
    ("train_sizes=[]", "give one or more whole numbers, 2 to 1024"),
    ("train_sizes=[32,0]", "give one or more whole numbers, 2 to 1024"),
    ("precision=foo", "choose auto, 32-true"),
    ("on_error=go", "choose continue or stop"),
    ("on_oom=shrink", "choose fail or halve"),
    ("study.rerun=all", "choose none or failed"),
    ("stability.probe=0", "give a whole number, 1 or more"),
    ("stability.sharpness_every=-1", "give a whole number, 1 or more (or null)"),
    ("head.dropout=3", "a probability is 0 to 1"),
    ("head.dropout=inf", "a probability is 0 to 1"),
    ("head.hidden=0", "give a whole number, 1 to 1048576 (or null)"),
    ("head.hidden=1000000000000", "give a whole number, 1 to 1048576 (or null)"),
    ("+phases={one:{epochs:0}}", "give a whole number, 1 or more"),
    ("optimizer.lr=-1", "a learning rate is 0 or more"),
    ("optimizer.lr=nan", "a learning rate is 0 or more"),
    ("optimizer.lr=inf", "a learning rate is 0 or more"),
    ("optimizer.lr=fast", "wants float or int, got str"),
    ("optimizer.lr=null", "wants float or int, got NoneType"),
    ("optimizer.momentum=-0.1", "give a number, 0 to 1"),
    ("optimizer.weight_decay=-1", "give a number, 0 or more"),
    ("+optimizer.dampening=2", "give a number, 0 to 1"),
    ("scheduler.warmup=1", "give a number, 0 or more and below 1"),
    ("scheduler.max_lr=-1", "a learning rate is 0 or more"),
    ("scheduler.anneal=linea", "choose cos or linear"),
    ("loss.label_smoothing=2", "give a number, 0 to 1"),
    ("loss.max_weight=0", "give a number, above 0 (or null)"),
    ("augment.flip=1.5", "a probability is 0 to 1"),
    ("augment.shift=48", "a number of pixels is 0 to 47"),
    ("+augment.mixup=-1", "a concentration is 0 or more"),
    ("+augment.erase_area=[0.9,0.1]", "give a smallest and a largest value"),
    ("+augment.erase_ratio=[-1,2]", "give a smallest and a largest value"),
    ("+augment.crop_size=1", "a size is 2 to"),
    ("evaluation.size=60", "a size is 2 to 48"),
    ("backbone.widths=[]", "give one or more whole numbers"),
    ("backbone.widths=[8,0]", "give one or more whole numbers"),
    ("backbone.freeze=half", "choose none, all or norms"),
    ("data.train=1", "give a whole number, 2 to"),
    ("data.test=-5", "give a whole number, 1 to"),
    ("data.seed=-1", "a seed is 0 to"),
    ("trainer.max_epochs=0", "give a whole number, 1 or more"),
    ("trainer.max_epochs=-3", "give a whole number, 1 or more"),
    ("trainer.accumulate_grad_batches=0", "give a whole number, 1 or more"),
    ("trainer.gradient_clip_val=-1", "give a number, 0 or more (or null)"),
    ("+trainer.gradient_clip_algorithm=foo", "choose norm or value"),
    ("trainer.limit_train_batches=0", "give a whole number of batches, 1 or more"),
    ("trainer.limit_val_batches=0", "give a whole number of batches, 1 or more"),
    ("trainer.limit_val_batches=0.0", "give a whole number of batches, 1 or more"),
    ("trainer.limit_test_batches=1.5", "give a whole number of batches, 1 or more"),
    ("+trainer.check_val_every_n_epoch=0", "give a whole number, 1 or more"),
]

OTHER_GROUPS = [
    (["optimizer=adamw", "+optimizer.betas=[0.9,1]"], "optimizer.betas=[0.9, 1]: give one or more numbers, 0 or more and below 1"),
    (["optimizer=muon", "optimizer.filter_momentum=2"], "optimizer.filter_momentum=2: give a number, 0 to 1"),
    (["optimizer=adadelta", "+optimizer.rho=2"], "optimizer.rho=2: give a number, 0 to 1"),
    (["scheduler=step", "scheduler.step_size=0"], "scheduler.step_size=0: give a whole number, 1 or more"),
    (["scheduler=plateau", "scheduler.factor=1"], "scheduler.factor=1: give a number, 0 or more and below 1"),
    (["scheduler=cosine", "scheduler.period=0"], "scheduler.period=0: give a whole number, 1 or more (or null)"),
    (["scheduler=cosine_warm_restarts", "scheduler.first_period=0"], "scheduler.first_period=0: give a whole number, 1 or more"),
    (["protocol=k_fold", "protocol.folds=1"], "protocol.folds=1: give a whole number, 2 or more"),
    (["protocol=random_70_15_15", "protocol.seed=-1"], "protocol.seed=-1: a seed is 0 to"),
    (["+phases={one:{epochs:1,optimizer:{_target_:torch.optim.SGD,_partial_:true,lr:-1}}}"], "phases.one.optimizer.lr=-1: a learning rate"),
    (["head.act=leaky_relu", "head.act.negative_slope=nan"], "head.act.negative_slope=nan: give a number, finite"),
    (["head.act._partial_=false"], "head.act needs the line `_partial_: true`"),
    (["~optimizer._partial_"], "optimizer needs the line `_partial_: true`"),
    (["+backbone._partial_=true"], "backbone._partial_=true: leave it out"),
]


@pytest.fixture(scope="module")
def composed():
    return compose(*TINY)


def changed(config, override):
    """A copy of a config, changed as an override would: to compose it anew takes a hundred times as long."""
    override = OverridesParser.create().parse_override(override)
    config = copy.deepcopy(config)
    OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return config


@pytest.mark.parametrize(("override", "remedy"), NUMBERS)
def test_a_number_out_of_its_range_is_refused_by_its_key(composed, override, remedy):
    key = "phases.one.epochs" if "phases" in override else override.lstrip("+").partition("=")[0]
    with pytest.raises(ConfigError) as refused:
        check_config(changed(composed, override))
    sentence = str(refused.value)
    assert key in sentence and remedy in sentence and "\n" not in sentence


@pytest.mark.parametrize(("overrides", "sentence"), OTHER_GROUPS)
def test_the_ranges_hold_in_every_option(overrides, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        check_config(compose(*TINY, *overrides))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["+trainer.check_val_every_n_epoch=5"], "a run of 2 epochs would never be validated"),
        (["+trainer.check_val_every_n_epoch=2", "scheduler=plateau"], "the scheduler watches val/accuracy, which it needs after every"),
        (["+trainer.check_val_every_n_epoch=2", "+phases={a:{epochs:2}}"], "several phases is validated after every epoch"),
    ],
)
def test_validation_may_not_come_too_seldom(overrides, sentence):
    config = compose(*TINY, *overrides)
    check_config(config)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        check_validation(config)


def test_a_users_own_class_has_ranges_of_its_own(composed):
    check_config(changed(changed(composed, "optimizer._target_=mine.Optimizer"), "optimizer.momentum=7"))


@pytest.mark.parametrize("key", INSTEAD)
def test_keys_of_the_trainer_that_are_not_obeyed_are_refused(composed, key):
    with pytest.raises(ConfigError, match=f"trainer.{key}=.* is refused: .*{re.escape(INSTEAD[key])}"):
        check_config(changed(composed, f"+trainer.{key}=true"))


def test_every_key_of_the_trainer_is_obeyed_or_refused():
    from lightning import Trainer

    obeyed = {"accelerator", "benchmark", "detect_anomaly", "deterministic", "devices", "inference_mode", "num_nodes", "strategy"}
    obeyed |= {"accumulate_grad_batches", "check_val_every_n_epoch", "gradient_clip_algorithm", "gradient_clip_val", "max_epochs"}
    obeyed |= {"limit_test_batches", "limit_train_batches", "limit_val_batches", "sync_batchnorm"}
    known = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert known == obeyed | set(INSTEAD)


# (what is typed, what the sentence says)
TYPED = [
    ("seed=0, 1", "seed=0, 1: write seed=0,1 without spaces"),
    ("-m seed=0, 1, 2 head.act=relu", "write seed=0,1,2 without spaces"),
    ("seed=0 ,1", "write seed=0,1 without spaces"),
    ("head.act = relu", "head.act = relu: write head.act=relu without spaces"),
    ("head.act= relu", "write head.act=relu without spaces"),
    ("seed=3 head.act =relu", "write head.act=relu without spaces"),
    ("--epochs 3", "--epochs: there is no such option. A setting has no dashes: epochs=3"),
    ("--epochs=3", "A setting has no dashes: epochs=3"),
    ("-epochs=3", "A setting has no dashes: epochs=3"),
    ("seed=0 epochs 3", "epochs is a setting: write epochs=3"),
    ("head.act", "head.act is a setting: write head.act=VALUE"),
    ("sed", "Did you mean seed?"),
    ("data.root=~/x", "write data.root=$HOME/x"),
    ("data.root=/my pictures/x", "'data.root=\"/my pictures/x\"'"),
    ("-m seed=0,1 --cfg job", "leave out --multirun (-m), and give each swept key one of its values"),
    ("--cfg", "--cfg job, hydra or all"),
    ("seed=0 --cfg=jobs", "--cfg job, hydra or all"),
    ("-c job --multi", "leave out --multirun (-m)"),
]


@pytest.mark.parametrize(("typed", "sentence"), TYPED)
def test_a_slip_of_the_keyboard_is_answered_with_what_was_meant(typed, sentence):
    with pytest.raises(ConfigError) as refused:
        arrange(typed.split(" "))
    assert sentence.lower() in str(refused.value).lower() and "\n" not in str(refused.value)


def test_options_may_stand_anywhere():
    assert arrange(["seed=0", "-m", "a=1"]) == ["-m", "seed=0", "a=1"]
    assert arrange(["seed=0", "--config-dir", "x", "--cfg", "job"]) == ["--config-dir", "x", "--cfg", "job", "seed=0"]
    assert arrange(["--info", "defaults", "~head.act", "data.root=a b"]) == ["--info", "defaults", "~head.act", "data.root=a b"]


# What Hydra, the callback and the launcher would answer; in the process of the test.
COMMANDS = [
    ("optimiser=adam", "Could not override 'optimiser': there is no such key. Did you mean optimizer?"),
    ("optimzer=adam", "Could not override 'optimzer': there is no such key. Did you mean optimizer?"),
    ("optimizer.betas=[0.9,0.99]", "add it with a plus: +optimizer.betas=VALUE"),
    ("phases.one.epochs=3", "write +phases={one:VALUE}"),
    ("batch_size=big", "batch_size=big: Value 'big' of type 'str' could not be converted to Integer; give a whole number."),
    ("lr=0.1", "there is no such key. Did you mean optimizer.lr?"),
    ("+epochs=3", "leave out the plus"),
    ("head.hidden=none", "or null for none"),
    ("channels_last=often", "channels_last=often"),
    ("seed=0,1", "Ambiguous value: seed=0,1. Add --multirun (-m)"),
    ("seed=0,", "seed=0, ends with a comma"),
    ("data.root=/data(1)/x", "'data.root=\"/data(1)/x\"'"),
    ("-m seed=rang(3)", "there is no function rang. Did you mean range?"),
    ("-m seed=range(0)", "seed=range(0) has no values"),
    ("-m optimizer.lr=interval(0.1,1)", "hydra/sweeper=optuna"),
    ("-m seed=0,-1", "seed=-1: a seed is 0 to"),
    ("-m hydra/sweeper=optuna optimizer.lr=interval(1,0.1)", "optimizer.lr=interval(1,0.1): the first number is the smaller one"),
    ("-m hydra/sweeper=optuna optimizer.lr=tag(log,interval(0,1))", "a logarithm needs numbers above 0"),
    ("-m hydra/sweeper=optuna seed=interval(0,3)", "a seed repeats a trial: give seeds with commas"),
    ("-m seed=0,1 hydra.sweeper.max_batch_size=0", "hydra.sweeper.max_batch_size=0: give a whole number, 1 or more (or null)"),
    ("-m seed=0,1 hydra/launcher=shared hydra.launcher.processes=0", "hydra.launcher.processes=0: give a whole number, 1 or more"),
    ("study.analysis.reference={a:b}", "+study.analysis.reference={a:VALUE}"),
    ("-m optimizer.lr=0.1,-1", "optimizer.lr=-1: a learning rate is 0 or more"),
    ("-m hydra/sweeper=optuna optimizer.lr=interval(-1,1)", "a learning rate is 0 or more"),
    ("-m hydra/sweeper=optuna optimizer.lr=interval(0.1,1) hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials=0: give a whole number"),
    ("-m trainer.limit_val_batches=1,0", "trainer.limit_val_batches=0: give a whole number of batches"),
    ("-m head.act={_target_:torch.nn.ReLU,_partial_:true},gelu", "takes the names of its options"),
    ("trainer.max_steps=5", "trainer.max_steps': a run lasts whole epochs"),
    ("monitor=val/acuracy", "Did you mean val/accuracy"),
    ("study.analysis.alpha=7", "study.analysis.alpha=7.0: the level of a test lies between 0 and 1"),
    ("study.analysis.resamples=3", "study.analysis.resamples=3: give 100 to 100000"),
    ("-m epochs=2,3 trainer.max_epochs=4", "epochs does nothing here: the trainer has max_epochs=4 of its own."),
    ("hydra.run.dir=/dev/null/x", "hydra.run.dir=/dev/null/x cannot be written"),
    ("hydra.run.dir=/proc/x", "hydra.run.dir=/proc/x cannot be written"),
    ("-m seed=0,1 hydra.sweep.dir=/proc/x", "hydra.sweep.dir=/proc/x cannot be written"),
    ("seed=-1", "a seed is 0 to"),
]


@pytest.mark.parametrize(("typed", "sentence"), COMMANDS)
def test_the_command_answers_in_one_sentence_and_leaves_nothing(command, tmp_path, typed, sentence):
    done = command(*[*typed.split(" ")[:1], *TINY, *typed.split(" ")[1:]] if typed.startswith("-m") else [*TINY, typed])
    assert done.code == 1 and "Traceback" not in done.text
    assert sentence in squeeze(done.text) and len(done.text.strip().splitlines()) == 1
    assert not [path.name for path in tmp_path.iterdir() if path.name != "cache"]


# As a user types it, in a process of its own: torch must not be imported for it.
PROCESSES = ["epochs 3", "--epochs 3", "optimizer.lr=-1", "optimizer.lr=fast", "batch_size=big", "-m seed=0,-1"]


@pytest.mark.parametrize("typed", PROCESSES)
def test_what_needs_no_torch_is_told_without_it(tmp_path, typed):
    code = f"""
import sys
sys.argv = ["fer_lightning", *{typed.split(" ")}]
from fer_lightning.__main__ import main
try:
    main()
finally:
    heavy = {{"torch", "lightning", "pandas", "numpy"}} & set(sys.modules)
    if heavy:
        print("imported", heavy)
"""
    start = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    done = SimpleNamespace(code=run.returncode, text=run.stdout + run.stderr)
    assert done.code == 1 and "imported" not in done.text and "Traceback" not in done.text
    assert len(done.text.strip().splitlines()) == 1 and not list(tmp_path.iterdir())
    assert time.monotonic() - start < 20  # two seconds on a quiet machine


def test_the_configs_of_sweeps_can_be_shown(process):
    for what in ("hydra", "all"):
        done = process("fer_lightning", "--cfg", what, "--resolve", "data=synthetic")
        assert done.code == 0 and "multirun/STUDY" in done.text, done.text


def test_a_package_that_is_misspelt_is_named(process, tmp_path):
    (tmp_path / "own" / "backbone").mkdir(parents=True)
    (tmp_path / "own" / "backbone" / "mine.yaml").write_text("_target_: mine.Net\n")
    (tmp_path / "mine.py").write_text("import nowhere_to_be_found\n")
    command = ["fer_lightning", "--config-dir", "own", "backbone=mine", "data=synthetic"]
    done = process(*command, FER_LIGHTNING_PACKAGES="miin")
    assert done.code == 1 and done.text.startswith("FER_LIGHTNING_PACKAGES names miin, and there is no such package; backbone._target_")
    done = process(*command, FER_LIGHTNING_PACKAGES="mine", PYTHONPATH=f"{tmp_path}:{':'.join(sys.path)}")
    assert done.code == 1 and done.text == "backbone._target_=mine.Net cannot be imported: No module named 'nowhere_to_be_found'.\n"


CLIPPED = ("trainer.gradient_clip_val=1.0", "+optimizer.fused=true")


def test_a_fused_optimizer_whose_gradients_would_be_clipped_in_mixed_precision():
    cfg = compose(*CLIPPED)
    check_config(cfg)  # auto: not known yet
    for cfg.precision in ("bf16-mixed", "bf16", "16-mixed", "16"):
        sentence = rf"optimizer\.fused=true: with precision={cfg.precision} the gradients .* trainer\.gradient_clip_val=1\.0, or the mixed"
        with pytest.raises(ConfigError, match=sentence):
            check_config(cfg)
    for key, value in (("precision", "32-true"), ("trainer.gradient_clip_val", None), ("optimizer.fused", False)):
        fine = copy.deepcopy(cfg)
        OmegaConf.update(fine, key, value)
        check_config(fine)


def test_a_fused_optimizer_counts_where_it_is_used():
    fused = "{_target_: torch.optim.SGD, _partial_: true, lr: 0.1, fused: true}"
    plain = "{_target_: torch.optim.SGD, _partial_: true, lr: 0.1}"
    settings = [CLIPPED[0], "precision=bf16-mixed"]
    with pytest.raises(ConfigError, match=r"^phases\.b\.optimizer\.fused=true"):
        check_config(compose(*settings, f"+phases={{a:{{epochs:1}},b:{{epochs:1,optimizer:{fused}}}}}"))
    check_config(compose(*settings, CLIPPED[1], f"+phases={{a:{{epochs:1,optimizer:{plain}}}}}"))  # nothing takes the root's
    with pytest.raises(ConfigError, match=r"^optimizer\.fused=true"):
        check_config(compose(*settings, CLIPPED[1], f"+phases={{a:{{epochs:1}},b:{{epochs:1,optimizer:{plain}}}}}"))


def test_precision_auto_that_turns_out_to_be_mixed(monkeypatch, command, tmp_path):
    from fer_lightning.training import train

    monkeypatch.setattr(train, "pick_precision", lambda *_: "bf16-mixed")
    done = command(*TINY, *CLIPPED, "logger=csv", "hydra.run.dir=run")
    assert done.code == 1 and "optimizer.fused=true: with precision=bf16-mixed" in done.text and "Traceback" not in done.text
    assert not (tmp_path / "run" / "metrics.csv").exists()
