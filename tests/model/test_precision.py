"""precision=auto: bfloat16 where it gains, and what a run says of what it computed in."""

import json

import pytest
import torch
from helpers.project import TINY, compose
from hydra.utils import instantiate
from torch import nn

from fer_lightning.model import precision
from fer_lightning.model.precision import has_depthwise, is_emulated, pick_precision
from fer_lightning.process.errors import ConfigError
from fer_lightning.training.build import build_trainer
from fer_lightning.training.phases import Phase

DEPTHWISE = ("efficientnet_b0", "efficientnet_lite0", "mobilenet_v2", "mobilenet_attention")
DENSE = ("compact", "resnet18", "vgg16")


@pytest.fixture
def machine(monkeypatch):
    def have(cuda, bf16):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(precision, "computes_bf16", lambda device: bf16)

    return have


def backbone(name):
    node = compose(f"backbone={name}", "pretrained=false").backbone
    with torch.device("meta"):
        return instantiate({key: value for key, value in node.items() if key != "freeze"})


def phases(*freeze):
    return [Phase(str(number), 1, None, None, freeze=what) for number, what in enumerate(freeze)]


@pytest.mark.parametrize("name", DEPTHWISE + DENSE)
def test_auto_is_bf16_where_the_hardware_has_it_but_on_a_cpu_not_where_depthwise_convolutions_train(name, machine):
    net = backbone(name)
    for frozen in (phases("all"), phases("all", "all")):
        machine(cuda=False, bf16=True)
        assert pick_precision("auto", net, frozen) == "bf16-mixed"
    for trained in (phases("none"), phases("norms"), phases("all", "none")):
        machine(cuda=False, bf16=True)
        assert pick_precision("auto", net, trained) == ("32-true" if name in DEPTHWISE else "bf16-mixed")
        machine(cuda=True, bf16=True)
        assert pick_precision("auto", net, trained) == "bf16-mixed"
    for cuda in (False, True):
        machine(cuda, bf16=False)
        assert pick_precision("auto", net, phases("none")) == pick_precision("auto", net, phases("all")) == "32-true"


def test_one_channel_and_groups_of_several_are_not_depthwise():
    assert not has_depthwise(nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=2)))
    assert has_depthwise(nn.Sequential(nn.Conv2d(8, 16, 3, groups=8)))


@pytest.mark.parametrize(
    ("chosen", "gpu", "cpu"),
    [
        *[(name, "bf16-mixed", "bf16-mixed") for name in ("bf16-mixed", "bf16")],
        *[(name, "16-mixed", "bf16-mixed") for name in ("16-mixed", "16", 16)],
        *[(name, "32-true", "32-true") for name in ("32-true", "32", 32)],
    ],
)
def test_what_the_user_chose_stands_in_full_and_a_cpu_computes_16_as_bf16(chosen, gpu, cpu, machine):
    for bf16 in (False, True):
        for cuda, accelerator in ((True, "auto"), (True, "cpu"), (False, "auto")):
            machine(cuda, bf16)
            found = pick_precision(chosen, nn.Identity(), phases("none"), accelerator)
            assert found == (gpu if cuda and accelerator == "auto" else cpu)
            assert is_emulated(found, accelerator) == (found == "bf16-mixed" and not bf16)


@pytest.mark.parametrize("wrong", ["16-true", "bf16-true", "64", 64, "64-true", "fp16", "foo", "transformer-engine", "", "Auto"])
def test_another_precision_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"precision={wrong}: choose auto, 32-true, bf16-mixed or, on a GPU, 16-mixed"):
        pick_precision(wrong, nn.Identity(), phases("none"))


def test_another_precision_is_refused_before_the_data_are_read(command, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_lightning.training.train.load_data", None)
    done = command(*TINY, "logger=csv", "precision=bf16-true")
    assert done.code == 1 and "Traceback" not in done.text and "precision=bf16-true: choose" in done.text


def test_what_is_recorded_is_what_lightning_computes(machine):
    machine(False, True)
    for chosen in ("16", "bf16", "32", "auto"):
        precision = pick_precision(chosen, nn.Conv2d(1, 1, 1), phases("none"))
        plugin = build_trainer(compose(*TINY, "trainer.accelerator=cpu"), precision).precision_plugin
        assert plugin.precision == precision


def test_a_run_says_what_it_computed_in_and_warns_where_that_is_emulated(command, machine, tmp_path):
    for bf16, chosen, found in ((False, "bf16-mixed", "bf16-mixed"), (True, "auto", "bf16-mixed"), (False, "auto", "32-true")):
        machine(False, bf16)
        ran = command(*TINY, "logger=csv", f"precision={chosen}", f"hydra.run.dir={tmp_path}/{chosen}-{bf16}")
        assert ran.code == 0, ran.text
        result = json.loads((tmp_path / f"{chosen}-{bf16}" / "result.json").read_text())
        assert result["environment"]["precision"] == found
        assert ("precision=bf16-mixed is emulated on this machine" in ran.text) == (chosen == "bf16-mixed")
        assert "needs a GPU" not in ran.text
    machine(False, True)
    ran = command(*TINY, "logger=csv", "precision=16", "timed_passes=1", "hydra.run.dir=16")
    assert ran.code == 0 and "precision=16 needs a GPU: a CPU computes in bf16-mixed instead" in ran.text
    result = json.loads((tmp_path / "16" / "result.json").read_text())
    assert result["environment"]["precision"] == "bf16-mixed" and result["time"]["low_precision"]
