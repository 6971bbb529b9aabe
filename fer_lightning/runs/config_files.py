"""The config of a run, in .hydra/: written as Hydra would, read with the guards that a stranger's folder needs."""

from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import make_folder, replace_file
from fer_lightning.safety.secrets import check_secrets
from fer_lightning.safety.untrusted_files import check_own, read_yaml

CONFIG = Path(".hydra", "config.yaml")
OVERRIDES = Path(".hydra", "overrides.yaml")


def write_config(folder, cfg, context, overrides):
    """Write .hydra as Hydra would, but each file atomically: Hydra writes them early and in pieces.

    cfg: of the job; context: Hydra's own config; overrides: of the job, as typed
    """
    make_folder(Path(folder) / ".hydra")
    for name, node in (("config", cfg), ("hydra", {"hydra": context}), ("overrides", overrides)):
        replace_file(Path(folder) / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(OmegaConf.create(node)))


def read_settings(folder):
    """The config as plain containers, references as they are written. OSError if there is no such file; ValueError if it is damaged."""
    settings = read_yaml(check_own(Path(folder) / CONFIG))
    if not isinstance(settings, dict):
        raise ValueError("it is no mapping")
    return settings


def read_config(folder):
    """The config with its references. UserError if it cannot be read, or if it would show secrets of the reader's own environment."""
    try:
        settings = read_settings(folder)
        check_secrets(settings)
        return OmegaConf.create(settings)
    except (OSError, ValueError, UserError, OmegaConfBaseException) as error:
        raise UserError(f"{Path(folder) / CONFIG} cannot be read: {' '.join(str(error).split())}") from error


def read_overrides(folder):
    """The overrides of a job as typed, a tuple of strings. OSError if there is no such file; ValueError if it is damaged or empty."""
    overrides = read_yaml(check_own(Path(folder) / OVERRIDES))
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise ValueError("it is no list of overrides")
    return tuple(overrides)
