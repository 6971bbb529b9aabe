"""Backbones, one file per family.

The contract: an `nn.Module` with

    num_features    width of its output
    input_spec      an `InputSpec` (fer_lightning.transforms.prepare): the size, channels, mean and standard deviation that it expects
    forward         (B, channels, size, size) -> (B, num_features)

To add one: a class here, and a file in conf/backbone/ that names it as `_target_`. All tests that enumerate conf/backbone/ then cover it.
"""
