"""Any vision model of transformers as a backbone, with random weights, weights from the hub, or from a local folder."""

import difflib
import inspect
import json
import math
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import CONFIG_MAPPING, MODEL_MAPPING, AutoConfig, AutoModel
from transformers.utils import cached_file

from fer_lightning.model.backbones.hub import first_line, fitted, hub, listed, mismatch
from fer_lightning.process.errors import ConfigError, near
from fer_lightning.transforms.prepare import InputSpec


class TransformersBackbone(nn.Module):
    """The pooled embedding of a BEiT, ViT, DINOv2, ConvNeXt, Swin, ResNet, the vision half of a CLIP or SigLIP, ...

    name: a hub id (`microsoft/beit-base-patch16-224`), a folder with config.json, or a model type (`beit`), which needs no network.
    pretrained: true: the weights of `name`; a folder or another hub id: config and weights from there; false: random weights
    config: changes to the model's config, such as hidden_size
    input_size: random weights are built for it; position tables of pretrained weights are interpolated, if the family supports that

    The embedding is that of the model's pooler, if the pooler has weights; otherwise the mean over all tokens, class token included, or
    over the map. Mean and standard deviation come from the json of the image processor; without one they are 0.5 and 0.5.
    Weights are read as tensors only, and no code from a hub or a folder is run.
    A masked autoencoder sees the whole image: its mask_ratio is 0 unless `config` sets it, and then it is refused, as is any other model
    that draws at random in evaluation.

    (B, channels, size, size) -> (B, num_features). ConfigError for an unknown name and for weights that cannot be read or do not fit.
    """

    def __init__(self, name: str, pretrained: bool | str = False, input_size: int | None = None, config: dict | None = None):
        super().__init__()
        source = str(pretrained) if pretrained and pretrained is not True else name
        bare = source == name and name in CONFIG_MAPPING
        if bare and pretrained:
            raise ConfigError(f"backbone.pretrained: {name!r} is a model type and has no weights. Give a folder, or a hub id as name.")
        if not bare:
            source = _place(source)

        with nullcontext() if bare else _reading(source):
            default = AutoConfig.for_model(name) if bare else AutoConfig.from_pretrained(source, trust_remote_code=False)
            facts = {} if bare else _processor(source)
        if name in CONFIG_MAPPING and name != default.model_type:
            raise ConfigError(f"backbone.pretrained: {source} holds a {default.model_type!r}, backbone.name is {name!r}.")
        default = getattr(default, "vision_config", default)
        if getattr(MODEL_MAPPING.get(type(default), None), "main_input_name", None) != "pixel_values":
            raise ConfigError(f"backbone.name: {name!r} ({default.model_type}) takes no images.")

        changes = dict(config or {})
        if hasattr(default, "mask_ratio"):
            changes.setdefault("mask_ratio", 0.0)
        if input_size and not pretrained and hasattr(default, "image_size"):
            changes["image_size"] = input_size
        settings = _changed(default, changes, bare)
        if pretrained:
            with _reading(source):
                self.model, report = AutoModel.from_pretrained(
                    source,
                    config=settings,
                    dtype=torch.float32,  # the default is the type in the file, half precision for some
                    weights_only=True,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
            _check(self.model, report, source)
        else:
            with _trying(f"transformers cannot build a {settings.model_type!r} of this config"):
                self.model = AutoModel.from_config(settings, dtype=torch.float32)

        native = _side(getattr(settings, "image_size", None) or facts.get("size") or 224)
        size = input_size or native
        resamples = size != native and "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if resamples else {}
        self.patch = settings.patch_size if settings.model_type == "vit_mae" and not settings.mask_ratio else None
        channels = getattr(settings, "num_channels", 3)
        mean, std = (fitted(facts.get(key, (0.5,)), channels) for key in ("image_mean", "image_std"))
        self.input_spec = InputSpec(size, channels, mean, std)
        self.num_features = self._width()

    def forward(self, x):
        options = self.options
        if self.patch:  # it shuffles the patches in the order of a noise; this one leaves them as they are
            options = options | {"noise": torch.arange((x.shape[-1] // self.patch) ** 2, device=x.device).expand(len(x), -1)}
        output = self.model(pixel_values=x, **options)
        pooled = getattr(output, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        last = output.last_hidden_state
        return last.mean((2, 3)) if last.ndim == 4 else last.mean(1)

    def _width(self):
        """num_features, from a forward pass: the configs of the families call it hidden_size, hidden_sizes[-1], embed_dim * 8, ...

        ConfigError if a second pass in evaluation gives the same image other features.
        """
        spec, name = self.input_spec, type(self.model).__name__
        shape = (1, spec.channels, spec.size, spec.size)
        image = torch.linspace(-1, 1, math.prod(shape), device=next(self.model.parameters()).device).view(shape)  # no two patches alike
        self.model.eval()
        with torch.no_grad(), _trying(f"{name} cannot read {shape}"):
            first, second = self(image), self(image)
        if not first.is_meta and not torch.allclose(first, second, rtol=1e-4, atol=1e-5, equal_nan=True):
            raise ConfigError(f"backbone: {name} draws at random in evaluation too, so the same image gets two answers: choose another.")
        self.model.train()  # from_pretrained returns it in eval mode, which Lightning would keep
        return first.shape[1]


def _place(source):
    """The path of a folder with a config.json, or a hub id; ConfigError for anything else."""
    folder = Path(source).expanduser().absolute()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigError(f"backbone: {folder} has no config.json, so it is no model folder of transformers.")
        return str(folder)
    if source.count("/") == 1 and source[0] not in "/.~":
        return source
    close = difflib.get_close_matches(source, list(CONFIG_MAPPING), n=5)
    raise ConfigError(f"backbone: {source!r} is no folder, no hub id (owner/model) and no model type. Near: {listed(close)}.")


@contextmanager
def _reading(source):
    try:
        with nullcontext() if Path(source).is_dir() else hub(source, "Give a folder, or a model type such as backbone.name=beit."):
            yield
    except ConfigError:
        raise
    except Exception as e:  # a damaged file can raise anything
        raise ConfigError(f"backbone: {source} is damaged, or not what transformers can read: {first_line(e)}") from e


@contextmanager
def _trying(what):
    try:
        yield
    except (AssertionError, LookupError, RuntimeError, StrictDataclassError, TypeError, ValueError) as e:
        raise ConfigError(f"backbone: {what}: {first_line(e)}") from e


def _processor(source):
    """The content of the image processor's json; {} if there is none. Newer releases nest it in processor_config.json."""
    for file in ("processor_config.json", "preprocessor_config.json"):
        path = cached_file(source, file, _raise_exceptions_for_missing_entries=False)
        facts = json.loads(Path(path).read_text("utf-8")) if path else {}
        facts = facts.get("image_processor", facts)
        if facts.get("do_normalize") is False:
            return {**facts, "image_mean": (0.0,), "image_std": (1.0,)}
        if "image_mean" in facts:
            return facts
    return {}


def _changed(default, changes, bare):
    unknown = [key for key in changes if not hasattr(default, key)]
    if unknown:
        close = near(unknown[0], default.to_dict())
        raise ConfigError(f"backbone.config: {default.model_type!r} has no {unknown[0]!r}. {close} backbone.config=null changes nothing.")
    with _trying("config"):
        if bare:
            return type(default)(**changes)
        default.update(changes)
        return default


def _check(model, report, source):
    """ConfigError for missing keys, and for unexpected keys in parts that the model has; heads and text halves are dropped.

    A pooler that is not in the file (ViT for classification: its head reads the class token) would stay random, so it is removed.
    """
    missing = [key for key in report["missing_keys"] if not key.startswith("pooler.")]
    parts = {name for name, _ in model.named_children()}
    unexpected = [key for key in report["unexpected_keys"] if key.removeprefix(f"{model.base_model_prefix}.").split(".")[0] in parts]
    faults = mismatch(missing, unexpected, [key for key, *_ in report["mismatched_keys"]])
    if faults:
        raise ConfigError(f"backbone.pretrained: {source} does not fit {type(model).__name__}: {faults}")
    if len(missing) < len(report["missing_keys"]):
        model.pooler = None


def _side(size):
    """224 of 224, (224, 224), {"height": 224, "width": 224} and {"shortest_edge": 224}."""
    sides = size.values() if isinstance(size, dict) else size if isinstance(size, (list, tuple)) else [size]
    return next(iter(sides))
