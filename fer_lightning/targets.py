"""Checks config nodes that name a `_target_` against the signature of what they name, before anything is built."""

import inspect
import types
import typing

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from fer_lightning.errors import ConfigError, near

# Keys of a node that Hydra or train.py reads; they are not arguments of the target.
RESERVED = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
BESIDE_TARGET = {"backbone": ("freeze",)}

SCALARS = (bool, int, float, str)


def check_targets(cfg):
    """Raise ConfigError, with the near name, for a key that its target has no argument for or a value of the wrong type."""
    for key, node in _target_nodes(cfg):
        try:
            target = get_object(node["_target_"])
        except Exception as error:
            raise ConfigError(f"{key}._target_={node['_target_']} cannot be imported: {error}") from error
        arguments = inspect.signature(target).parameters
        if any(a.kind is a.VAR_KEYWORD for a in arguments.values()):
            continue
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
        for name in node:
            if name in RESERVED or name in BESIDE_TARGET.get(key, ()):
                continue
            if name not in arguments:
                raise ConfigError(f"{key}.{name}: {node['_target_']} has no such argument. {near(name, arguments)}")
            _check_type(f"{key}.{name}", node[name], hints.get(name))


def _target_nodes(cfg, prefix=""):
    for key in cfg:
        if OmegaConf.is_missing(cfg, key) or not isinstance(cfg[key], DictConfig):
            continue
        name = f"{prefix}{key}"
        if "_target_" in cfg[key]:
            yield name, cfg[key]
        yield from _target_nodes(cfg[key], f"{name}.")


def _check_type(key, value, hint):
    """Scalars only, and only where the signature names a scalar type; a list or a node is the target's own to judge."""
    allowed = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    wanted = [t for t in allowed if t in SCALARS]
    literals = [v for t in allowed if typing.get_origin(t) is typing.Literal for v in typing.get_args(t)]
    if not wanted or value in literals or not isinstance(value, (*SCALARS, type(None))) or (value is None and type(None) in allowed):
        return
    if float in wanted:
        wanted.append(int)
    if type(value) not in wanted:
        names = " or ".join([t.__name__ for t in wanted] + ["null"] * (type(None) in allowed))
        raise ConfigError(f"{key}={value}: wants {names}, got {type(value).__name__}.")
