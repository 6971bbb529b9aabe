"""VGG made for small grey faces: the four of S3 without their 4096-wide layers, and the four-stage one of S4 with them."""

from torch import nn

from fer_lightning.model.backbones.choice import choose
from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms.prepare import InputSpec

# Convolutions per stage; the widths are those of every VGG.
CONVS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
ORDERS = ("conv_bn_relu", "conv_relu_bn")


class VGG(nn.Module):
    """VGG11, 13, 16 or 19 for 48 x 48 grey images, from scratch (S3 section 2.2.1; S3-6, S3-7).

    3x3 convolutions, four 2x2 max-pools; the fifth is a global average pool, and there are no layers of 4096.
    With a linear head of 7: 9.22, 9.41, 14.72, 20.03 M parameters. S3 does not mention batch norm, which adds up to 0.011 M.

    (B, 1, size, size) -> (B, 512)
    """

    num_features = WIDTHS[-1]

    def __init__(self, depth: int = 16, batch_norm: bool = False, input_size: int | None = None):
        super().__init__()
        convs = CONVS[choose("depth", depth, CONVS)]
        self.input_spec = _spec(input_size or 48)
        stages = _stages(convs, WIDTHS, "conv_bn_relu" if batch_norm else "conv_relu")
        stages[-1][-1] = nn.AdaptiveAvgPool2d(1)
        self.stages = nn.Sequential(*stages, nn.Flatten())
        # He's: torch's default divides the variance by six in each layer, and depth 19 without batch norm has sixteen of them.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.stages(x)


class FourStageVGG(nn.Module):
    """S4's VGG for 40 x 40 crops of grey images (S4-10 to S4-12).

    Four stages of two 3x3 convolutions and a 2x2 max-pool, then two layers of 4096, each linear, dropout, ReLU: dropout comes first.
    With a linear head of 7: 29,890,759 parameters at 40 x 40, 40,376,519 at 48 x 48.

    order:      conv_bn_relu | conv_relu_bn; S4's code has the first, its text the second
    dropout:    S4's code has a parameter of 0.1, but does not pass it on and so uses 0.2; the text gives no value
    input_size: None: 40; the first linear layer has 512 * (input_size // 16)^2 inputs

    (B, 1, size, size) -> (B, 4096)
    """

    num_features = 4096

    def __init__(self, order: str = "conv_bn_relu", dropout: float = 0.2, input_size: int | None = None):
        super().__init__()
        self.input_spec = _spec(input_size or 40)
        self.stages = nn.Sequential(*_stages((2, 2, 2, 2), WIDTHS[:4], choose("order", order, ORDERS)), nn.Flatten())
        self.dense = nn.Sequential(
            *(nn.Linear(512 * (self.input_spec.size // 16) ** 2, 4096), nn.Dropout(dropout), nn.ReLU(inplace=True)),
            *(nn.Linear(4096, 4096), nn.Dropout(dropout), nn.ReLU(inplace=True)),
        )

    def forward(self, x):
        return self.dense(self.stages(x))


def _spec(size):
    if size < 16:
        raise ConfigError(f"backbone.input_size={size}: four pools by 2 need 16 at least.")
    return InputSpec(size, mean=(0.0,), std=(1.0,))  # pixels in [0, 1], rows S3-3 and S4-3


def _stages(convs, widths, order):
    """One nn.Sequential per stage, which ends in its pool."""
    stages, in_channels = [], 1
    for count, width in zip(convs, widths):
        layers = []
        for _ in range(count):
            parts = {
                "conv": nn.Conv2d(in_channels, width, 3, padding=1),
                "relu": nn.ReLU(inplace=True),
                "bn": nn.BatchNorm2d(width) if "bn" in order else None,
            }
            layers += [parts[name] for name in order.split("_")]
            in_channels = width
        stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
    return stages
