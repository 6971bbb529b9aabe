"""Every shipped config composes, fits the signature of its target, and builds; wrong ones are refused with the near name."""

import copy

import pytest
import torch
from helpers.project import CONF, compose, options
from hydra.utils import instantiate

from fer_lightning.config.targets import check_targets
from fer_lightning.optim.schedules import Schedule
from fer_lightning.process.errors import ConfigError
from fer_lightning.training.build import build_module

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
COUNTS = torch.tensor([3995, 436, 4097, 7215, 4830, 3171, 4965])
# No hub in a test: random weights, on the meta device where they are large.
OFFLINE = {"pretrained": False}


def test_the_groups_of_the_design_are_there():
    assert {"data", "protocol", "augment", "backbone", "head.norm", "head.act", "loss", "optimizer", "scheduler"} <= set(GROUPS)
    assert {"none", "bn", "ln"} <= set(options("head.norm"))
    assert {"relu", "leaky_relu", "gelu", "swish", "mish"} <= set(options("head.act"))


@pytest.mark.parametrize("choice", [f"{group}={option}" for group in GROUPS if group != "logger" for option in options(group)])
def test_every_option_composes_and_fits_its_target(choice):
    check_targets(compose(choice))


@pytest.mark.parametrize("name", options("backbone"))
def test_every_backbone_builds_a_module_that_keeps_the_contract(name):
    cfg = compose(f"backbone={name}")
    if "pretrained" in cfg.backbone:
        cfg = compose(f"backbone={name}", "backbone.pretrained=false")
    with torch.device("meta"):
        module = build_module(cfg, COUNTS.to("meta"))
    spec = module.backbone.input_spec
    module.eval()
    with torch.device("meta"), torch.no_grad():
        features = module.backbone(torch.zeros(2, spec.channels, spec.size, spec.size))
        logits = module(torch.zeros(2, spec.channels, spec.size, spec.size))
    assert features.shape == (2, module.backbone.num_features)
    assert logits.shape == (2, 7)
    assert isinstance(module.backbone.num_features, int)
    assert len(spec.mean) in (1, spec.channels) and len(spec.std) in (1, spec.channels)


@pytest.mark.parametrize("norm", options("head.norm"))
@pytest.mark.parametrize("act", options("head.act"))
def test_every_head_trains(norm, act):
    module = build_module(compose(f"head.norm={norm}", f"head.act={act}", "backbone.widths=[4,4]"), COUNTS)
    module.loss(module.head(torch.randn(4, 4)), torch.arange(4)).backward()
    assert all(p.grad is not None for p in module.head.parameters())


@pytest.mark.parametrize("name", options("scheduler"))
def test_every_schedule_builds(name):
    schedule = instantiate(compose(f"scheduler={name}").scheduler)
    assert isinstance(schedule, Schedule)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    assert schedule.build(optimizer, 100) is not None


def test_what_the_recipes_have_of_their_papers():
    assert compose("recipe=two_phase").protocol.seed == 42  # S2-2
    assert compose("recipe=two_phase").loss.weighted == "images"  # S2-14
    assert [compose(f"recipe={name}").select for name in ("default", "cnn_batchnorm")] == ["best", "last"]  # S1-17
    assert compose("recipe=four_stage_vgg_tuned_cosine").select == "last"  # S4-46


def test_dotted_groups_select_sweep_and_land():
    assert compose("head.act=mish").head.act._target_ == "torch.nn.Mish"
    assert compose("head.norm=ln").head.norm._target_ == "torch.nn.LayerNorm"
    assert compose("head.act=leaky_relu", "head.act.negative_slope=0.2").head.act.negative_slope == 0.2


def test_training_leaves_the_config_as_it_was():
    cfg = compose("backbone.widths=[4,4]")
    before = copy.deepcopy(cfg)
    check_targets(cfg)
    build_module(cfg, COUNTS)
    assert cfg == before


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("+optimizer.momentun=0.8", r"optimizer.momentun: torch.optim.SGD has no such argument. Did you mean momentum\?"),
        ("+trainer.max_epoch=3", r"trainer.max_epoch: .* Did you mean max_epochs or"),
        ("+backbone.width=[4]", r"backbone.width: .* Did you mean widths\?"),
        ("+head.act.slope=1", "head.act.slope: torch.nn.GELU has no such argument"),
        ("optimizer.lr=fast", "optimizer.lr=fast: wants float or int, got str"),
        ("augment.shift=0.5", "augment.shift=0.5: wants int, got float"),
        ("loss.label_smoothing=true", "loss.label_smoothing=True: wants float or int, got bool"),
        ("loss.max_weight=big", "loss.max_weight=big: wants float or int or null, got str"),
        ("backbone._target_=fer_lightning.model.backbones.compact.CompactCMM", "backbone._target_=.* cannot be imported"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_key(override, sentence):
    with pytest.raises(ConfigError, match=sentence):
        check_targets(compose(override))


def test_an_added_key_that_nothing_reads_is_refused():
    for override, sentence in [("+sed=1", "sed: .* Did you mean seed"), ("+head.dropuot=0.1", "head.dropuot: .* Did you mean dropout")]:
        with pytest.raises(ConfigError, match=sentence):
            check_targets(compose(override))
