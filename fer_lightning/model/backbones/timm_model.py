"""Any timm model as a backbone, with random weights, weights from the hub, or from a local file or folder."""

import dataclasses
import difflib
import json
import re

import timm
from torch import nn

from fer_lightning.model.backbones.hub import first_line, fitted, hub, listed, local, mismatch, reading
from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms.prepare import InputSpec


class TimmBackbone(nn.Module):
    """The pooled embedding of timm model `name`, which may have a release tag: `vit_base_patch16_224.augreg_in21k`.

    pretrained:  false: random weights; true: download timm's release; a path: a .safetensors, .pth or .bin file of such a release, or a
                 folder with one (a hub snapshot, whose config.json then gives mean, standard deviation and size). The classifier in the
                 file is dropped, every other key must fit. Files are read as tensors only: a pickle that runs code is refused
    input_size:  if it differs from the release (native_size), position tables are resampled; most convolutional models take any size
    in_channels: if it differs from the release (3), timm sums or repeats the first convolution; 1 saves the copies of the grey channel
    drop_path_rate: stochastic depth, if the model has it; None keeps timm's value

    (B, channels, size, size) -> (B, num_features). Raises ConfigError for an unknown name, weights that cannot be read or do not fit.
    """

    def __init__(
        self,
        name: str,
        pretrained: bool | str = False,
        *,
        input_size: int | None = None,
        in_channels: int | None = None,
        drop_path_rate: float | None = None,
    ):
        super().__init__()
        cfg = _release(name)
        file = None
        if pretrained and pretrained is not True:
            path = local(pretrained)
            file = _weight_file(path)
            cfg = dataclasses.replace(cfg, **_snapshot_facts(path, name))
        channels = in_channels or cfg.input_size[0]
        self.native_size = cfg.input_size[-1]
        size = input_size or self.native_size
        arguments = {
            "pretrained_cfg": cfg,
            "in_chans": in_channels,
            "img_size": size if cfg.fixed_input_size else None,
            "drop_path_rate": drop_path_rate,
        }
        if file:
            self.model = _load(name, file, cfg, arguments)
        elif pretrained and not cfg.has_weights:
            raise ConfigError(f"backbone.pretrained: timm has no weights of {name!r}. It has {listed(timm.list_pretrained(name + '*'))}.")
        elif pretrained:
            with hub(name, "Give backbone.pretrained=/path/to/file, or backbone.pretrained=false for random weights."):
                self.model = _create(name, arguments, num_classes=0, pretrained=True)
        else:
            self.model = _create(name, arguments, num_classes=0)
        # num_features is the width before the head's own convolution, as in MobileNetV3 (576 -> 1024); this one is the width after it.
        self.num_features = self.model.head_hidden_size
        self.input_spec = InputSpec(size, channels, fitted(cfg.mean, channels), fitted(cfg.std, channels))

    def forward(self, x):
        return self.model(x)


def _release(name):
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture not in known:
        near = difflib.get_close_matches(architecture, known, n=5) or timm.list_models(f"*{architecture}*")
        raise ConfigError(f"backbone.name: timm {timm.__version__} has no {architecture!r}. Near: {listed(near)}.")
    tags = timm.list_pretrained(architecture)
    if tag and name not in tags:
        raise ConfigError(f"backbone.name: timm {timm.__version__} has no {name!r}. Releases: {listed(tags)}.")
    return timm.models.get_pretrained_cfg(name)


def _create(name, arguments, **more):
    try:
        return timm.create_model(name.partition(".")[0], **arguments, **more)
    except OSError:  # of the hub; some of these are ValueErrors too
        raise
    except Exception as e:  # each model raises its own
        if more.get("pretrained") and not isinstance(e, (AssertionError, TypeError, ValueError)):
            raise  # of the weights
        given = {k: v for k, v in arguments.items() if v is not None and k != "pretrained_cfg"}
        native = arguments["pretrained_cfg"].input_size[-1]
        hint = f" It was made for {native}: input_size={native} resizes the images." if given.get("img_size", native) != native else ""
        raise ConfigError(f"backbone: timm cannot build {name!r} with {given}: {first_line(e).rstrip('.')}.{hint}") from e


def _load(name, file, cfg, arguments):
    heads = [cfg.classifier] if isinstance(cfg.classifier, str) else cfg.classifier or []
    with reading(file):
        state = timm.models.load_state_dict(str(file))
        classes = max((len(state[f"{head}.weight"]) for head in heads if f"{head}.weight" in state), default=0)
        del state
    # With as many classes as the file has, timm checks every key; with another number it would let missing ones pass.
    overlay = {"file": str(file), "num_classes": classes, "label_offset": 0}
    try:
        model = _create(name, arguments, num_classes=classes, pretrained=True, pretrained_cfg_overlay=overlay)
    except (AttributeError, IndexError, KeyError, RuntimeError) as e:
        raise ConfigError(f"backbone.pretrained: {file} does not fit {name!r}: {_torch_mismatch(str(e)) or first_line(e)}") from e
    if classes:
        model.reset_classifier(0)
    return model


def _torch_mismatch(message):
    missing, unexpected = (re.search(rf"{kind} key\(s\) in state_dict: (.*)", message) for kind in ("Missing", "Unexpected"))
    names = [re.findall(r'"([^"]+)"', found[1]) if found else [] for found in (missing, unexpected)]
    return mismatch(*names, re.findall(r"size mismatch for ([^:]+):", message))


def _weight_file(path):
    if path.is_file():
        return path
    if not path.is_dir():
        raise ConfigError(f"backbone.pretrained: {path} does not exist. Give a weight file, a folder that holds one, true or false.")
    for names in (["model.safetensors"], ["pytorch_model.bin"], ["*.safetensors", "*.pth", "*.pt", "*.bin"]):
        found = sorted(file for name in names for file in path.glob(name))
        if len(found) == 1:
            return found[0]
    raise ConfigError(f"backbone.pretrained: {path} holds {len(found)} weight files ({listed([f.name for f in found])}). Name one.")


def _snapshot_facts(path, name):
    """Mean, standard deviation and size of the weights in a hub snapshot, from its config.json; they may differ from timm's default."""
    file = path / "config.json"
    try:
        stored = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    except ValueError as e:
        raise ConfigError(f"backbone.pretrained: {file} is damaged: {e}") from e
    architecture = name.partition(".")[0]
    if stored.get("architecture", architecture) != architecture:
        raise ConfigError(f"backbone.pretrained: {path} holds {stored['architecture']!r}, backbone.name is {name!r}.")
    return {k: tuple(v) for k, v in stored.get("pretrained_cfg", {}).items() if k in ("mean", "std", "input_size")}
