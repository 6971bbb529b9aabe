"""The identity of a job: a hash of what its training depends on."""

import hashlib
import json

from omegaconf import OmegaConf

# Where things lie and who is told, not what is trained.
NOT_TRAINING = (
    *("study", "logger", "stability", "timed_passes", "near_twins", "on_error", "on_oom"),
    *("data.root", "data.cache_dir", "data.ferplus"),
)


def training_config(cfg, without=()):
    """The part of a config that training depends on, as plain containers with dotted keys.

    without: further keys to leave out; the axes of a sweep, to get what its cells have in common.
    """
    kept = OmegaConf.masked_copy(cfg, [key for key in cfg if key not in NOT_TRAINING])
    flat = dict(_leaves(OmegaConf.to_container(kept, resolve=True)))
    left_out = (*NOT_TRAINING, *without)
    return {k: v for k, v in flat.items() if not any(k == key or k.startswith(f"{key}.") for key in left_out)}


def job_id(cfg):
    """Sixteen hex digits, equal for two jobs exactly where they would train the same way."""
    return digest(training_config(cfg))


def digest(flat):
    """Sixteen hex digits of a flat config."""
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:16]


def _leaves(node, prefix=""):
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value
