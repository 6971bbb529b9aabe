"""ResNet and SE-ResNet for small grey faces, as S3 changes them: a stem that keeps the resolution."""

from functools import partial

from timm.layers import SEModule
from timm.models import resnet
from torch import nn

from fer_lightning.model.backbones.choice import choose
from fer_lightning.process.errors import ConfigError
from fer_lightning.transforms.prepare import InputSpec

BLOCKS = {
    18: (resnet.BasicBlock, (2, 2, 2, 2)),
    34: (resnet.BasicBlock, (3, 4, 6, 3)),
    50: (resnet.Bottleneck, (3, 4, 6, 3)),
}
POSITIONS = ("branch", "after_addition")


class ResNet(nn.Module):
    """ResNet18, 34 or 50 for 48 x 48 grey images, from scratch (S3 section 2.2.2; S3-8 to S3-12).

    Its stem is one 3x3 convolution of 64 with stride 1, without a max-pool, so that the last map is 6 x 6.
    With a linear head of 7: 11.17, 21.28, 23.51 M parameters; with squeeze and excitation at ratio 16: 11.26, 21.44, 26.04 M.
    The paper prints 11.1 and 21.2 (cut off) beside 11.3 and 21.4 (rounded): S3-49.

    reduction:   of squeeze and excitation; S3 gives no value, 16 fits its counts
    se_position: branch, before the addition as in the SE paper | after_addition, behind the block. S3's "placed after the
                 residual blocks" allows both, with equal counts.

    (B, 1, size, size) -> (B, 512), of depth 50 (B, 2048)
    """

    def __init__(
        self,
        depth: int = 18,
        *,
        squeeze_excitation: bool = False,
        reduction: int = 16,
        se_position: str = "branch",
        input_size: int | None = None,
    ):
        super().__init__()
        block, layers = BLOCKS[choose("depth", depth, BLOCKS)]
        choose("se_position", se_position, POSITIONS)
        if reduction < 1:
            raise ConfigError(f"backbone.reduction={reduction}: wants 1 or more.")
        gate = partial(SEModule, rd_ratio=1 / reduction, rd_divisor=1)  # timm would round 64 / 16 up to 8
        on_branch = squeeze_excitation and se_position == "branch"
        gates = {"attn_layer": gate if on_branch else None}
        # zero_init_last: S3 says nothing of it
        self.model = resnet.ResNet(block, layers, num_classes=0, in_chans=1, zero_init_last=False, block_args=gates)
        self.model.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.model.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.model.maxpool = nn.Identity()
        if squeeze_excitation and not on_branch:
            for stage, width in enumerate((64, 128, 256, 512), start=1):
                blocks = getattr(self.model, f"layer{stage}")
                setattr(self.model, f"layer{stage}", nn.Sequential(*(nn.Sequential(b, gate(width * block.expansion)) for b in blocks)))
        self.num_features = self.model.num_features
        self.input_spec = InputSpec(input_size or 48, mean=(0.0,), std=(1.0,))  # pixels in [0, 1], row S3-3

    def forward(self, x):
        return self.model(x)
