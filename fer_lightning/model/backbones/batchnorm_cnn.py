"""The small CNN of S1, with batch norm and without."""

from torch import nn

from fer_lightning.model.backbones.choice import choose
from fer_lightning.transforms.prepare import InputSpec

# {choice: where in a block its batch norm stands}
POSITIONS = {"after_activation": 4, "before_activation": 3}
ACTS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU, "swish": nn.SiLU, "mish": nn.Mish}


class BatchNormCNN(nn.Module):
    """S1's table 1 and its twin without batch norm (S1-3 to S1-10), for 48 x 48 grey images, from scratch.

    Three blocks of two convolutions (64, 128, 256) with ReLU, one batch norm and a 2x2 max-pool; then linear 128, batch norm,
    dropout, ReLU. With a linear head of 7: 2,785,863 trainable parameters, 2,784,711 without batch norm.

    bn_position: after_activation, as in the table | before_activation, as in S1's equation 11: before the block's second ReLU. The
                 layer of 128 has it before its ReLU in both.

    act:         ReLU in the paper, which suggests others (S1-25): relu | leaky_relu | gelu | swish | mish

    S1 contradicts itself: its table gives block 3 kernels of 5x5 but counts of 3x3, which are used here (S1-30), and pooling of
    stride 1 although the maps halve (S1-31).

    (B, 1, 48, 48) -> (B, 128)
    """

    num_features = 128
    input_spec = InputSpec()

    def __init__(self, batch_norm: bool = True, bn_position: str = "after_activation", dropout: float = 0.2, act: str = "relu"):
        super().__init__()
        act = ACTS[choose("act", act, ACTS)]
        bn_at = POSITIONS[choose("bn_position", bn_position, POSITIONS)] if batch_norm else None
        self.blocks = nn.Sequential(*(_block(*sizes, bn_at=bn_at, act=act) for sizes in ((1, 64, 5), (64, 128, 5), (128, 256, 3))))
        dense = [nn.Linear(256 * 6 * 6, 128), nn.BatchNorm1d(128), nn.Dropout(dropout), act()]
        if not batch_norm:
            del dense[1]
        self.dense = nn.Sequential(nn.Flatten(), *dense)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):  # as in Keras, whose counts S1 prints; torch's gives a third of the signal
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.dense(self.blocks(x))


def _block(in_channels, out_channels, kernel, *, bn_at, act):
    layers = [
        nn.Conv2d(in_channels, out_channels, kernel, padding="same"),
        act(),
        nn.Conv2d(out_channels, out_channels, kernel, padding="same"),
        act(),
        nn.MaxPool2d(2),
    ]
    if bn_at:
        layers.insert(bn_at, nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers)
