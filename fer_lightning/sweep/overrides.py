"""The cells of a sweep: what the command and the study file span, which keys vary, and a readable name for each cell."""


from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fer_lightning.process.errors import ConfigError

# The only group of which several options may be chosen at once: they mirror the same record.
MULTIPLE_CHOICE = ("logger",)


def parse(overrides):
    """Override strings to Hydra's parsed overrides; globs are resolved against the config folder."""
    return OverridesParser.create(config_loader=GlobalHydra.instance().config_loader()).parse_overrides(list(overrides))


def group_options(key):
    """The options of a config group, none where the key is no group."""
    return GlobalHydra.instance().config_loader().get_group_options(key)


def expand(overrides):
    """All jobs that Hydra's own sweeper makes of these overrides: a list of lists of override strings."""
    return BasicSweeper.split_arguments(parse(overrides), max_batch_size=None)[0]


def axes(overrides):
    """The keys that are swept, in the order of the command. `seed` repeats a cell rather than making a new one, so it comes last."""
    last = {_key(o): o for o in parse(overrides)}  # the command line comes after the study and wins
    return sorted((key for key, o in last.items() if o.is_sweep_override()), key=lambda key: key == "seed")


def _key(override):
    """scheduler@phases.tune.scheduler: a group with the package it lands in, as Hydra's choices name it."""
    return f"{override.key_or_group}@{override.package}" if override.package else override.key_or_group


def refuse_merged_options(overrides):
    """`head.act=[relu,gelu]` makes Hydra merge the two files, the last one winning: never what was meant.

    The same happens to an axis that a study file writes as a YAML list.
    """
    for override in parse(overrides):
        key = override.key_or_group
        if isinstance(override.value(), list) and key not in MULTIPLE_CHOICE and group_options(key):
            options = ",".join(str(option) for option in override.value())
            raise ConfigError(
                f"{key}=[{options}] chooses several options for one run. "
                f"Write {key}={options} (without brackets, with --multirun) to run one job for each."
            )


def cell_values(cfg, choices, axes):
    """{swept key: value} of a job, where a config group's value is the option chosen. The seed repeats a cell, it is not part of it.

    choices: of Hydra's groups, {group: option}
    """
    return {key: choices[key] if key in choices else OmegaConf.select(cfg, key) for key in axes if key != "seed"}
