"""Importing this guards Hydra's loader: every config that Hydra composes, also that of each job, is checked as soon as it exists.

Hydra builds its callbacks and its logging from a config before any code of a program runs, so no later check would do. Only `sweep/`
imports it: another program with Hydra that uses the rooms below is not affected.
"""

from hydra._internal.config_loader_impl import ConfigLoaderImpl

from fer_lightning.config.hydra_limits import check_hydra

UNGUARDED = ConfigLoaderImpl.load_configuration


def _load_and_check(self, config_name, overrides, *args, **kwargs):
    config = UNGUARDED(self, config_name, overrides, *args, **kwargs)
    check_hydra(config.hydra, overrides)
    return config


ConfigLoaderImpl.load_configuration = _load_and_check
