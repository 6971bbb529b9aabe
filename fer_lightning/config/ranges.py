"""Ranges of numbers and lists of choices: they stand beside the types in `fer_lightning.config.schema` and are checked without torch."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field

from omegaconf import MISSING, DictConfig, OmegaConf

from fer_lightning.process.errors import ConfigError


@dataclass(frozen=True)
class Range:
    """low and high belong to it, above and below do not; infinity and NaN never do. noun: what the number is, for messages."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    noun: str = ""

    def __contains__(self, number):
        return (
            math.isfinite(number)
            and (self.low is None or self.low <= number)
            and (self.high is None or number <= self.high)
            and (self.above is None or self.above < number)
            and (self.below is None or number < self.below)
        )

    def __str__(self):
        if self.low is not None and self.high is not None:
            return f"{self.low} to {self.high}"
        parts = {"{} or more": self.low, "above {}": self.above, "{} or less": self.high, "below {}": self.below}
        return " and ".join(part.format(end) for part, end in parts.items() if end is not None) or "finite"


def within(low=None, high=None, *, default=MISSING, **ends):
    """A field of the schema whose number, or each of whose numbers, lies in a `Range`."""
    return field(default=default, metadata={"range": Range(low, high, **ends)})


def span(low=None, high=None, *, default=MISSING, **ends):
    """A field of the schema that holds a smallest and a largest value."""
    return field(default=default, metadata={"range": Range(low, high, **ends), "ordered": True})


def one_of(*choices, default=MISSING):
    """A field of the schema with a list of choices."""
    return field(default=default, metadata={"choices": choices})


# Ranges that several fields have.
SEED = {"low": 0, "high": 2**32 - 1, "noun": "a seed"}  # what numpy takes
PROBABILITY = {"low": 0, "high": 1, "noun": "a probability"}
FRACTION = {"low": 0, "high": 1, "noun": "a fraction"}
SIZE = {"low": 2, "high": 1024}  # pixels of an input; vision models are made for 512 at most
WIDTH = {"low": 1, "high": 2**20}


def check_values(key, values, schema, *, with_types=False):
    """Raise ConfigError for a value that its field of the schema, a dataclass, does not allow.

    values: {name: value}, a node of a config or the attributes of an object; with_types: whether a wrong type is an error here
    """
    described = [one for one in dataclasses.fields(schema) if one.metadata and one.name in values and not _is_missing(values, one.name)]
    hints = typing.get_type_hints(schema) if described else {}
    for one in described:
        name, value = f"{key}.{one.name}".lstrip("."), values[one.name]
        if with_types:
            _check_type(name, value, hints[one.name])
        if "choices" in one.metadata and isinstance(value, str) and value not in one.metadata["choices"]:
            choices = [str(choice) for choice in one.metadata["choices"]]
            raise ConfigError(f"{name}={value}: choose {', '.join(choices[:-1])} or {choices[-1]}.")
        if "range" in one.metadata:
            _check_range(name, value, hints[one.name], one.metadata)


def _check_range(name, value, hint, metadata):
    within = metadata["range"]
    if metadata.get("ordered"):
        try:
            low, high = value
            fits = low in within and high in within and low <= high
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise ConfigError(f"{name}={value}: give a smallest and a largest value {within}, such as [0.3, 0.9].")
        return
    several = OmegaConf.is_list(value) or isinstance(value, list | tuple)
    numbers = value if several else [value]
    if len(numbers) and all(number in within for number in numbers if isinstance(number, int | float)):
        return
    if within.noun and len(numbers):
        raise ConfigError(f"{name}={value}: {within.noun} is {within}.")
    whole, null = "int" in str(hint), type(None) in typing.get_args(hint)
    kind = f"{'one or more ' if several else 'a '}{'whole ' if whole else ''}number{'s' * several}"
    raise ConfigError(f"{name}={value}: give {kind}, {within}{' (or null)' if null else ''}.")


def _check_type(name, value, hint):
    """Only scalars, in the words of `fer_lightning.config.targets`, which knows the signatures but needs torch."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    wanted = list(typing.get_args(hint)) if union else [hint]
    if typing.Any in wanted or any(typing.get_origin(kind) for kind in wanted):
        return
    if float in wanted:
        wanted.insert(wanted.index(float) + 1, int)
    if type(value) not in wanted:
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in wanted)
        raise ConfigError(f"{name}={value}: wants {names}, got {type(value).__name__}.")


def _is_missing(values, name):
    return isinstance(values, DictConfig) and OmegaConf.is_missing(values, name)
