"""VGG-Face: the VGG16 of Parkhi, Vedaldi and Zisserman (2015), trained on 2.6 M faces of 2,622 people."""

import timm
from torch import nn
from torchvision.models import vgg16

from fer_lightning.model.backbones.hub import local, mismatch, reading
from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms.prepare import InputSpec


class VGGFace(nn.Module):
    """VGG16 at 224 in colour up to fc7 after its ReLU, a baseline of S0 (S0-41): 134,260,544 parameters.

    pretrained: a local .pth or .safetensors state dict, keys named as in torchvision's vgg16 (features.0.weight, classifier.0.weight)
                or as in vgg_face_dag.pth (conv1_1.weight, fc6.weight); the classifier of people is dropped, every other key must fit.
                Files are read as tensors only. false: random weights. S0 fits an SVM on the features: `fer_lightning.svm`
    input_size: None: 224; the last map is pooled to the 7 x 7 that fc6 takes

    The mean of VGG-Face is subtracted and pixels stay in 0..255, which is what its weights were trained on.

    (B, 3, size, size) -> (B, 4096). Raises ConfigError for a file that does not exist, is damaged or does not fit.
    """

    num_features = 4096

    def __init__(self, pretrained: bool | str = False, input_size: int | None = None):
        super().__init__()
        if pretrained is True:
            raise ConfigError("backbone.pretrained: no package ships VGG-Face. Give a state dict of it, or false for random weights.")
        self.input_spec = InputSpec(input_size or 224, 3, tuple(v / 255 for v in (129.1863, 104.7624, 93.5940)), (1 / 255,) * 3)
        body = vgg16(num_classes=1, init_weights=not pretrained)
        self.features = body.features
        self.pool = body.avgpool
        self.classifier = body.classifier[:5]  # fc6, ReLU, dropout, fc7, ReLU
        if pretrained:
            self._load(local(pretrained))

    def forward(self, x):
        return self.classifier(self.pool(self.features(x)).flatten(1))

    def _load(self, file):
        if not file.is_file():
            raise ConfigError(f"backbone.pretrained: {file} does not exist. Give a state dict of VGG-Face, or false for random weights.")
        with reading(file):
            state = timm.models.load_state_dict(str(file))
            state = {_torchvision_name(key): value for key, value in state.items()}
            # As a convolution of 7 x 7, fc6 has four dimensions.
            state = {key: value.flatten(1) if key.startswith("classifier") and value.ndim > 2 else value for key, value in state.items()}
        state = {key: value for key, value in state.items() if not key.startswith("classifier.6.")}
        own = self.state_dict()
        resized = [key for key in own if key in state and state[key].shape != own[key].shape]
        if faults := mismatch(own.keys() - state.keys(), state.keys() - own.keys(), resized):
            raise ConfigError(f"backbone.pretrained: {file} does not fit VGG-Face: {faults}")
        self.load_state_dict(state)


# Where torchvision's features have their convolutions; a ReLU follows each, and a pool ends each stage.
LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
CONVS = [f"conv{stage}_{i}" for stage, count in enumerate((2, 2, 3, 3, 3), start=1) for i in range(1, count + 1)]
NAMES = {name: f"features.{layer}" for name, layer in zip(CONVS, LAYERS)}
NAMES |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}


def _torchvision_name(key):
    layer, _, kind = key.rpartition(".")
    return f"{NAMES.get(layer, layer)}.{kind}"
