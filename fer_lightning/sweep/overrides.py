"""What the overrides of a command and a study file span: the swept keys, the jobs, the cell and the name of each."""

import json

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf

from fer_lightning.config.cell_names import folder_name, written_levels
from fer_lightning.process.errors import ConfigError

# The only group of which several options may be chosen at once: they mirror the same record.
MULTIPLE_CHOICE = ("callbacks", "logger")


def parse(overrides):
    """Override strings to Hydra's parsed overrides; globs are resolved against the config folder."""
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()).parse_overrides(list(overrides))


def with_params(params, overrides):
    """The overrides of a sweep: the params of its study file, then those of the command, which win. params: {key: values} or None"""
    return [*(f"{key}={value}" for key, value in (params or {}).items()), *overrides]


def span(sweeper, overrides):
    """(swept keys, jobs) of a sweep. sweeper: the config node; overrides: of the command.

    The jobs are lists of overrides; None if the sweeper chooses its jobs as it goes, as optuna does. ConfigError for what no sweep can run.
    """
    overrides = with_params(sweeper.params, overrides)
    swept = axes(overrides)
    if "study" in swept:
        raise ConfigError("One study per command: each names its own axes. Run them one after the other.")
    basic = sweeper._target_.endswith(BasicSweeper.__name__)
    for override in parse(overrides):
        _check_sweep(override, basic)
    jobs = BasicSweeper.split_arguments(parse(overrides), max_batch_size=None)[0] if basic else None
    for job in jobs or [overrides]:
        refuse_merged_options(job)
    numbers = {}
    for number, job in enumerate(jobs or ()):  # the second of two equal jobs would be the first one again
        levels = tuple(written_levels(job, swept).items())
        if len(levels) == len(swept) and (other := numbers.setdefault(levels, number)) != number:
            raise ConfigError(f"Jobs {other + 1} and {number + 1} of this sweep are the same ({' '.join(job)}). Give each value once.")
    return swept, jobs


def folder_names(jobs, axes, seed):
    """The names that the folders of jobs will most likely have, without composing their configs. seed: of a job that does not set it."""
    names = []
    for job in jobs:
        levels = {"seed": seed} | written_levels(job, axes)
        names.append(folder_name({key: level for key, level in levels.items() if key != "seed"}, levels["seed"]))
    return names


def _check_sweep(override, basic):
    """ConfigError for a swept key that no sweep can run. basic: whether the sweeper runs all values, and does not search among them"""
    if override.is_interval_sweep():
        wrong = _wrong_interval(override, basic)
        if wrong:
            raise ConfigError(f"{override.input_line}: {wrong}.")
    elif override.is_sweep_override():
        values = list(override.sweep_iterator())
        if not values:
            raise ConfigError(f"{override.input_line} has no values, so there would be no job.")
        if any(isinstance(value, dict) for value in values) and _is_group(override.key_or_group):
            raise ConfigError(
                f"{override.input_line}: a swept config group takes the names of its options. "
                "Write each mapping into a file in a folder that --config-dir names."
            )


def _wrong_interval(override, basic):
    interval = override.value()
    if basic:
        return "an interval is no list of values. Search it with hydra/sweeper=optuna, or give values with commas"
    if override.key_or_group == "seed":
        return "a seed repeats a trial: give seeds with commas"
    if interval.start > interval.end:
        return "the first number is the smaller one"
    if "log" in interval.tags and interval.start <= 0:
        return "a logarithm needs numbers above 0"
    return None


def levels(sweeper, overrides):
    """{swept key: its values} of the keys that are no config groups; of an interval its two ends."""
    swept = [o for o in parse(with_params(sweeper.params, overrides)) if o.is_sweep_override()]
    swept = [o for o in swept if not o.package and not _is_group(o.key_or_group)]
    return {o.key_or_group: [_plain(value) for value in _values(o)] for o in swept}


def _values(override):
    return [override.value().start, override.value().end] if override.is_interval_sweep() else override.sweep_iterator()


def _plain(value):
    return value.text if isinstance(value, QuotedString) else value


def _is_group(key):
    """Whether a key names a config group, also one of the user's own."""
    return bool(GlobalHydra.instance().config_loader().get_group_options(key))


def keys(overrides):
    """The keys that a command names, swept or not."""
    return [override.key_or_group for override in parse(overrides)]


def axes(overrides):
    """The swept keys, in the order of the command. `seed` repeats a cell rather than making a new one, so it comes last."""
    last = {_key(o): o for o in parse(overrides)}  # the command line comes after the study and wins
    return sorted((key for key, o in last.items() if o.is_sweep_override()), key=lambda key: key == "seed")


def _key(override):
    """scheduler@phases.tune.scheduler: a group with the package where it goes, as Hydra's choices name it."""
    return f"{override.key_or_group}@{override.package}" if override.package else override.key_or_group


def refuse_merged_options(overrides):
    """ConfigError for `head.act=[relu,gelu]`: Hydra would merge the two files, the last one wins, and nobody means that.

    The same happens to an axis that a study file writes as a YAML list.
    """
    for override in parse(overrides):
        key = override.key_or_group
        if isinstance(override.value(), list) and key not in MULTIPLE_CHOICE and _is_group(key):
            options = ",".join(str(option) for option in override.value())
            raise ConfigError(
                f"{key}=[{options}] chooses several options for one run. "
                f"Write {key}={options} (without brackets, with --multirun) to run one job for each."
            )


def cell_values(cfg, choices, axes):
    """{swept key: value} of a job; the value of a config group is the chosen option. The seed repeats a cell, so it is not part of it.

    choices: of Hydra's groups, {group: option}
    """
    values = {key: choices[key] if key in choices else OmegaConf.select(cfg, key) for key in axes if key != "seed"}
    return {key: _level(value) for key, value in values.items()}


def _level(value):
    """A swept value as result.json holds it: a scalar or a list of scalars as it is, any other node as one text."""
    if not OmegaConf.is_config(value):
        return value
    plain = OmegaConf.to_container(value, resolve=True)
    if isinstance(plain, list) and not any(isinstance(part, dict | list) for part in plain):
        return plain
    return json.dumps(plain, separators=(",", ":"))


def job_name(cfg, choices, axes):
    """The name of a job and of its run folder: its cell and its seed. choices: of Hydra's groups, {group: option}"""
    return folder_name(cell_values(cfg, choices, axes), cfg.seed)
