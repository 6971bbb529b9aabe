"""Your own Lightning Trainer: FERModule trains any backbone with any head, FERDataModule hands it the images.

    python examples/own_trainer.py [FOLDER]        # FOLDER: where FER-2013 is; without it faces are drawn
"""

import sys
from functools import partial

import torch
from lightning import Trainer
from torch import nn

from fer_lightning import FERDataModule, FERModule, read_fer2013
from fer_lightning.data.protocols import official
from fer_lightning.data.synthetic import draw
from fer_lightning.model.backbones.compact import CompactCNN
from fer_lightning.model.head import make_head
from fer_lightning.optim.schedules import one_cycle
from fer_lightning.training.phases import Phase
from fer_lightning.transforms.augment import Augment
from fer_lightning.transforms.views import Views


def train(faces, epochs=3, **options):
    """The scores of the test part. options: of Lightning's Trainer"""
    data = FERDataModule(faces, official(faces), batch_size=64)
    backbone = CompactCNN(widths=[16, 32, 64])
    module = FERModule(
        backbone,
        make_head(backbone.num_features, len(data.class_counts), hidden=None),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        augment=Augment(flip=0.5, shift=4),
        views=Views(),
    )
    # What trains, with what, for how long. A second phase would be another `enter` and another fit.
    module.enter(Phase("all", epochs, partial(torch.optim.AdamW, lr=2e-3), one_cycle(max_lr=2e-3)))
    trainer = Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, num_sanity_val_steps=0, **options)
    trainer.fit(module, data)
    print({name: round(value.item(), 3) for name, value in trainer.callback_metrics.items() if name.startswith("val/")})
    trainer.test(module, data, verbose=False)
    logits, labels, _rows = module.test_predictions.compute()
    return (logits.argmax(1) == labels).float().mean().item()


if __name__ == "__main__":
    print(f"test accuracy {train(read_fer2013(sys.argv[1]) if len(sys.argv) > 1 else draw()):.3f}")
