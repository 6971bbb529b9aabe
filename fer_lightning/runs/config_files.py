"""The config of a run in .hydra/, written as Hydra would, read with the guards that a stranger's folder needs."""

from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file
from fer_lightning.safety.secrets import check_secrets
from fer_lightning.safety.untrusted_files import read_yaml

CONFIG = Path(".hydra", "config.yaml")


def write_config(folder, cfg, context, overrides):
    """Write .hydra as Hydra would, but each file at once: Hydra writes it before a job can say that it is done, and in parts.

    cfg: of the job; context: Hydra's own config; overrides: of the job, as typed
    """
    (Path(folder) / ".hydra").mkdir(exist_ok=True)
    for name, node in (("config", cfg), ("hydra", {"hydra": context}), ("overrides", overrides)):
        replace_file(Path(folder) / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(OmegaConf.create(node)))


def read_config(folder):
    """The config of a run folder. UserError where it cannot be read, or would show what is in the environment of who reads it."""
    path = Path(folder) / CONFIG
    try:
        settings = read_yaml(path)
        check_secrets(settings)
        return OmegaConf.create(settings)
    except (OSError, ValueError, UserError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
