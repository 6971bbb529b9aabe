"""The smallest network and data that train, for tests that watch single steps."""

import numpy as np
import torch
from lightning import Trainer
from torch import nn

from fer_lightning.data.datamodule import FERDataModule
from fer_lightning.data.faces import Faces
from fer_lightning.data.protocols import Split
from fer_lightning.optim.schedules import constant
from fer_lightning.training.module import FERModule
from fer_lightning.training.phases import Phase
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.prepare import InputSpec
from fer_lightning.transforms.views import Views

EPOCHS, BATCHES = 4, 3


class Flat(nn.Module):
    """The smallest thing that keeps the backbone contract, with a norm to freeze."""

    num_features = 6
    input_spec = InputSpec(size=48)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 9, stride=8, bias=False)  # a bias before a norm has no gradient but rounding errors
        self.norm = nn.BatchNorm2d(6)

    def forward(self, pixels):
        return self.norm(self.conv(pixels)).mean((2, 3))


def make_data(n=8 * BATCHES, batch_size=8):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n + 8, 1, 48, 48), dtype=np.uint8)
    faces = Faces(pixels, rng.integers(0, 7, n + 8), np.zeros(n + 8, np.int64), "made up", "unknown", {})
    return FERDataModule(faces, Split("p", np.arange(n), np.arange(n, n + 8), np.arange(0)), batch_size=batch_size)


def make_module(optimizer=None, schedule=None, freeze="none", epochs=EPOCHS, **kwargs):
    torch.manual_seed(0)
    optimizer = optimizer or (lambda parameters: torch.optim.SGD(parameters, 0.1))
    augment = kwargs.pop("augment", Augment())
    module = FERModule(Flat(), nn.Linear(6, 7), nn.CrossEntropyLoss(), augment=augment, views=Views(), **kwargs)
    module.enter(Phase("whole", epochs, optimizer, schedule or constant(), freeze=freeze))
    return module


def fit(module, data, epochs=EPOCHS, **kwargs):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", num_sanity_val_steps=0, **quiet, **kwargs)
    trainer.fit(module, data)
    return trainer
