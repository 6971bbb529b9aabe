"""The compact CNN: where it pools."""

import pytest
import torch

from fer_lightning.model.backbones.compact import CompactCNN
from fer_lightning.process.errors import ConfigError


def test_pooling_before_the_norm_is_the_same_net_where_the_activation_keeps_order():
    torch.manual_seed(0)
    after, before = CompactCNN([8, 8, 16]).eval(), CompactCNN([8, 8, 16], pool="before_norm").eval()
    for p, q in zip(after.parameters(), before.parameters(), strict=True):
        q.data.copy_(p.data)
    for one, other in zip(after.stages, before.stages, strict=True):
        one.enter[2] = other.enter[3] = torch.nn.ReLU()
    pictures = torch.randn(4, 1, 48, 48)
    torch.testing.assert_close(before(pictures), after(pictures))


def test_a_place_to_pool_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="backbone.pool=first: choose after_activation or before_norm"):
        CompactCNN(pool="first")
