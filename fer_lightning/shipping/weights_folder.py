"""A trained network as two files that this program reads back: weights in safetensors, and the part of its config that builds it."""

from pathlib import Path

from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from fer_lightning.config.targets import build, check_targets, plain
from fer_lightning.data.faces import classes_of
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file, replacing
from fer_lightning.safety.untrusted_files import read_yaml
from fer_lightning.shipping.whole_network import WholeNetwork
from fer_lightning.training.build import build_net

WEIGHTS, NETWORK = "model.safetensors", "network.yaml"
# The rest of a config is about training, and holds the paths of whoever trained it.
KEPT = ("backbone", "head", "evaluation")


def write_weights(network, cfg, data, folder):
    """Write both files of a `WholeNetwork` that a config built. data: {classes: their names, size: of an image in pixels}"""
    kept = {key: plain(cfg[key]) for key in KEPT} | {"data": data}  # with the values of what it refers to
    with replacing(Path(folder) / WEIGHTS) as part:
        part.write_bytes(save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}))
    replace_file(Path(folder) / NETWORK, OmegaConf.to_yaml(OmegaConf.create(kept)))


def read_weights(folder):
    """The `WholeNetwork` of a folder, which may come from anyone. UserError if it holds none, or one that does not fit its weights."""
    return read_network(folder)[0]


def read_network(folder):
    """(`read_weights` of a folder, its config)"""
    folder = Path(folder)
    try:
        cfg = OmegaConf.create(read_yaml(folder / NETWORK))
        check_targets(cfg)
        network = WholeNetwork(*build_net(cfg, len(classes_of(cfg))), build(cfg.evaluation, "evaluation"))
        network.load_state_dict(load_file(folder / WEIGHTS))
    except OSError as error:
        raise UserError(f"{folder} holds no exported network: {error.filename or WEIGHTS} is missing.") from error
    except (ValueError, AttributeError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{folder} holds a damaged network: {' '.join(str(error).split())[:300]}") from error
    return network, cfg
