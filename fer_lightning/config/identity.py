"""The identity of a job: a hash of what its config means.

A class counts by its package and its name, as `fer_lightning:CompactCNN` or `torch:AdamW`, not by its module. So a class can move inside
its package, and every identity stays.
"""

import hashlib
import json

from omegaconf import OmegaConf

from fer_lightning.safety.secrets import environment_hidden

# What does not change the training: paths, loggers, what is measured beside it and what happens after an error.
NOT_TRAINING = (
    *("study", "logger", "threads", "stability", "timed_passes", "near_twins", "on_error", "on_oom"),
    *("data.root", "data.cache_dir", "data.ferplus"),
)

# Of FER-2013 every copy that is accepted is the same; the images of this reader are only known by where they are.
PLACED = {"fer_lightning:read_image_folder": "data.root"}

# Keys that jobs of before had not, with the value that leaves them as they were: then they do not count.
ADDED = {"select": "best", "callbacks": {}}


def training_config(cfg, without=()):
    """The part of a config that training depends on, as plain containers with dotted keys; each `_target_` as its `target_name`.

    without: further keys to leave out; the axes of a sweep, to get what its cells have in common.
    """
    # Each key within the whole config: what is kept may refer to what is not, as optimizer.lr to study.rates.
    kept = {key: _resolved(cfg, key) for key in cfg if key not in NOT_TRAINING}
    flat = dict(leaves(_without_modules(kept)))
    left_out = [*(key for key in NOT_TRAINING if key != PLACED.get(flat.get("data._target_"))), *without]
    counted = {k: v for k, v in flat.items() if k not in ADDED or v != ADDED[k]}
    return {k: v for k, v in counted.items() if not any(k == key or k.startswith(f"{key}.") for key in left_out)}


def shown_config(cfg):
    """`training_config` as others may see it: what comes from the environment is masked, because it is of whoever reads the config."""
    with environment_hidden():
        return training_config(OmegaConf.create(OmegaConf.to_container(cfg, resolve=False)))  # without the types, which no mask has


def job_id(cfg):
    """Sixteen hex digits, equal for two jobs exactly if they would train the same way."""
    return digest(training_config(cfg))


def digest(flat):
    """Sixteen hex digits of a flat config."""
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:16]


def target_name(target):
    """`package:Name` of a `_target_`: torch.optim.AdamW and torch.optim.adamw.AdamW are both torch:AdamW."""
    return f"{target.partition('.')[0]}:{target.rpartition('.')[2]}"


def _resolved(cfg, key):
    if OmegaConf.is_missing(cfg, key):
        return "???"
    return OmegaConf.to_container(cfg[key], resolve=True) if OmegaConf.is_config(cfg[key]) else cfg[key]


def _without_modules(node):
    if isinstance(node, list):
        return [_without_modules(child) for child in node]
    if not isinstance(node, dict):
        return node
    named = {name: _without_modules(child) for name, child in node.items()}
    return named | {"_target_": target_name(str(node["_target_"]))} if "_target_" in node else named


def leaves(node, prefix=""):
    """(dotted key, value) of all that a nested dict holds; an empty dict is a value."""
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{name}.")
        else:
            yield name, value
