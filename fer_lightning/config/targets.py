"""From a config to objects, through one door: what is checked is exactly what is called.

References are resolved once, to plain values. Whatever still looks like a reference after that is refused, because Hydra would resolve the
values again: an escaped reference, or one put together from pieces, is text to a check and alive to Hydra. A node with a `_target_` is
checked against its signature, all others against the schema; `fer_lightning.safety.allowed_targets` decides what a `_target_` may name.
"""

import dataclasses
import inspect
import re
import sys
import types
import typing
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.process.errors import ConfigError, near
from fer_lightning.safety.allowed_targets import USERS, find_target, own_names

# Keys of a node that Hydra or the training reads; they are not arguments of the target.
RESERVED = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
BESIDE_TARGET = {"backbone": ("freeze",)}

SCALARS = (bool, int, float, str)


def check_targets(cfg):
    """Raise ConfigError, with the nearest name, for a key that nothing reads or a value of the wrong type."""
    values = plain(cfg)
    for key, value in _texts(values, ""):
        if value == "???":  # OmegaConf's word for it
            raise ConfigError(f"Missing mandatory value: {key}. A command took it away, or a file lacks it.")
    check_plain(values)
    for key, node in _typed(cfg):
        # Hydra checks these itself, but lets `+key=value` pass.
        known = [field.name for field in dataclasses.fields(OmegaConf.get_type(node))]
        for name in set(node) - set(known):
            raise ConfigError(f"{key}.{name}: there is no such key. {near(name, known)}".lstrip("."))


def build(node, key, **arguments):
    """What a node of a config names, called with its values and these arguments. key: where the node is in the config."""
    values = plain(node, key)
    check_plain(values, key)
    if not arguments:
        return instantiate(values)
    # Not through Hydra, which would resolve references in them: a label or a folder may hold any text.
    return instantiate(values | {"_partial_": True})(**arguments)


def plain(node, key=""):
    """A config, or a node of it, as plain containers without any reference. ConfigError if one is left, in a value or in a key."""
    try:
        values = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except OmegaConfBaseException as error:
        reason = str(error).partition("\n")[0].removeprefix("ConfigError raised while resolving interpolation: ")
        raise ConfigError(f"{error.full_key or key}: {reason}") from error
    for name, value in _texts(values, key):
        if "${" in value:
            raise ConfigError(f"{name}: {value!r} is refused: it is a reference again once it is resolved. References are resolved once.")
    return values


def check_plain(values, key=""):
    """Raise ConfigError unless each node with a `_target_` in these plain containers may be called as it is."""
    targets = [(name, node, find_target(name, node["_target_"])) for name, node in _nodes(values, key) if "_target_" in node]
    for name, node, target in targets:
        _check_arguments(name, node, target)
        _check_unique(name, target)


def follow_moves(cfg):
    """The config of a run from before a class of ours moved to another module, with its `_target_` where the class is now."""
    values = OmegaConf.to_container(cfg, resolve=False)
    for _, node in _nodes(values):
        package, _, name = str(node.get("_target_")).rpartition(".")
        if package.startswith("fer_lightning.") and name in own_names():
            node["_target_"] = own_names()[name]
    return OmegaConf.create(values)


def _nodes(values, key=""):
    """(key, mapping) of every mapping in plain containers, also those in lists."""
    if isinstance(values, dict):
        yield key, values
    for name, child in values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ():
        yield from _nodes(child, f"{key}.{name}".lstrip("."))


def _texts(values, key):
    """(key, text) of every text in plain containers, also of the names in mappings."""
    if isinstance(values, str):
        yield key, values
    for name, child in values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ():
        yield key, str(name)
        yield from _texts(child, f"{key}.{name}".lstrip("."))


def _typed(cfg, key=""):
    """(key, node) of every mapping of a config that has a dataclass as its schema."""
    if isinstance(cfg, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(cfg)):
        yield key, cfg
    for name in range(len(cfg)) if isinstance(cfg, ListConfig) else cfg:
        if not OmegaConf.is_missing(cfg, name) and OmegaConf.is_config(cfg[name]):
            yield from _typed(cfg[name], f"{key}.{name}".lstrip("."))


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
    # A package without __init__.py may be found twice, by the current folder and by PYTHONPATH=.
    folders = {Path(folder).resolve() for folder in getattr(sys.modules[package], "__path__", ())}
    files = [file for folder in sorted(folders) for file in sorted(folder.rglob("*.py"))]
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
