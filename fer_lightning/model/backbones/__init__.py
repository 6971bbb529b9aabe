"""Backbones, one file per family.

The contract: an `nn.Module` with

    num_features    width of what it returns
    input_spec      an `InputSpec`: the size, channels, mean and deviation it expects
    forward         (B, channels, size, size) -> (B, num_features)

To add one: a class here, a file in conf/backbone/ with its `_target_`. Every test that enumerates conf/backbone/ then covers it.
"""
