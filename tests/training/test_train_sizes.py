"""Training at several sizes: which size when, and what is refused."""

import pytest
import torch
from helpers.project import TINY, compose
from helpers.small_network import fit, make_data, make_module

from fer_lightning.process.errors import ConfigError
from fer_lightning.training.build import build_module


@pytest.mark.parametrize(
    ("sizes", "epochs", "wanted"),
    [
        ((), 2, [48, 48]),
        ((32, 48), 4, [32, 32, 48, 48]),
        ((24, 32, 48), 4, [24, 24, 32, 48]),
        ((24, 32, 48), 2, [24, 32]),
    ],
)
def test_each_size_has_an_equal_share_of_the_epochs_and_validation_the_backbones_own(sizes, epochs, wanted):
    module = make_module(epochs=epochs, sizes=sizes)
    seen = []
    module.backbone.register_forward_pre_hook(lambda net, args: seen.append((net.training, module.current_epoch, args[0].shape[-1])))
    fit(module, make_data(), epochs=epochs)
    assert sorted({(epoch, size) for training, epoch, size in seen if training}) == list(enumerate(wanted))
    assert {size for training, _, size in seen if not training} == {48}


def test_a_run_at_two_sizes_trains_from_end_to_end(command):
    done = command(*TINY, "logger=csv", "train_sizes=[24,48]")
    assert done.code == 0, done.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train_sizes=[4,48]"], r"train_sizes=\[4, 48\]: CompactCNN takes no images of 4 pixels"),
        (["train_sizes=[]"], "give sizes in pixels, such as"),
        (["train_sizes=[0,48]"], "give sizes in pixels, such as"),
        (["train_sizes=[24,48]", "backbone=four_stage_vgg"], "FourStageVGG takes no images of 24 pixels"),
        (["train_sizes=[24,48]", "backbone.freeze=all"], "a frozen backbone takes images of one size only"),
    ],
)
def test_sizes_that_a_backbone_cannot_take_are_refused_before_training(overrides, message):
    with pytest.raises(ConfigError, match=message):
        build_module(compose(*overrides), torch.ones(7))
