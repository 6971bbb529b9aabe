"""Check a composed config before anything is built: a node with a `_target_` against its signature, all others against the schema.

`fer_lightning.safety.allowed_targets` decides what a `_target_` may name.
"""

import copy
import dataclasses
import inspect
import re
import sys
import types
import typing
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from fer_lightning.process.errors import ConfigError, near
from fer_lightning.safety.allowed_targets import USERS, find_target, own_names

# Keys of a node that Hydra or the training reads; they are not arguments of the target.
RESERVED = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
BESIDE_TARGET = {"backbone": ("freeze",)}

SCALARS = (bool, int, float, str)


def check_targets(cfg):
    """Raise ConfigError, with the nearest name, for a key that nothing reads or a value of the wrong type."""
    nodes = list(_nodes(cfg))
    targets = {key: find_target(key, node["_target_"]) for key, node in nodes if "_target_" in node}
    for key, node in nodes:
        if key in targets:
            _check_arguments(key, node, targets[key])
            _check_unique(key, targets[key])
        elif dataclasses.is_dataclass(schema := OmegaConf.get_type(node)):
            # Hydra checks these itself, but lets `+key=value` pass.
            known = [field.name for field in dataclasses.fields(schema)]
            for name in set(node) - set(known):
                raise ConfigError(f"{key}.{name}: there is no such key. {near(name, known)}".lstrip("."))


def follow_moves(cfg):
    """The config of a run from before a class of ours moved to another module, with its `_target_` where the class is now."""
    cfg = copy.deepcopy(cfg)
    for _, node in _nodes(cfg):
        package, _, name = str(node.get("_target_")).rpartition(".")
        if package.startswith("fer_lightning.") and name in own_names():
            node["_target_"] = own_names()[name]
    return cfg


def _nodes(cfg, key=""):
    """Every mapping of a config with its key, also those in lists. A value may be null."""
    if isinstance(cfg, DictConfig):
        yield key, cfg
    for name in range(len(cfg)) if isinstance(cfg, ListConfig) else cfg:
        if not OmegaConf.is_missing(cfg, name) and isinstance(cfg[name], (DictConfig, ListConfig)):
            yield from _nodes(cfg[name], f"{key}.{name}".lstrip("."))


def _check_arguments(key, node, target):
    arguments = inspect.signature(target).parameters
    if any(argument.kind is argument.VAR_KEYWORD for argument in arguments.values()):
        return
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for name in node:
        if name in RESERVED or name in BESIDE_TARGET.get(key, ()):
            continue
        if name not in arguments:
            raise ConfigError(f"{key}.{name}: {node['_target_']} has no such argument. {near(name, arguments)}")
        _check_type(f"{key}.{name}", node[name], hints.get(name))


def _check_unique(key, target):
    """The identity of a job holds a class's package and name, so a package of the user may define the name only once."""
    package = target.__module__.partition(".")[0]
    if package not in {user.partition(".")[0] for user in USERS}:
        return
    definition = re.compile(rf"^(class|def) {target.__name__}\b", re.MULTILINE)
    files = [file for folder in getattr(sys.modules[package], "__path__", ()) for file in sorted(Path(folder).rglob("*.py"))]
    found = [str(file) for file in files if definition.search(file.read_text(encoding="utf-8", errors="replace"))]
    if len(found) > 1:
        raise ConfigError(
            f"{key}: {package} defines {target.__name__} in {' and '.join(found)}. Jobs are told apart by package and name: rename one."
        )


def _check_type(key, value, hint):
    """Checks scalars only, and only if the signature names a scalar type; the target itself checks lists and nodes."""
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
