"""A callback of your own, in any run of the command: which pair of classes does the network confuse most, epoch by epoch?

    export FER_LIGHTNING_PACKAGES=own_callback PYTHONPATH=examples
    python -m fer_lightning +callbacks.confused._target_=own_callback.MostConfused

What it logs is in metrics.csv of the run folder, and wherever else the run is logged.
"""

import torch
from lightning import Callback

from fer_lightning.data.faces import CLASSES


class MostConfused(Callback):
    """Logs the share of the validation images that lie between the two classes which are taken for one another most often.

    say: whether to print the pair
    """

    def __init__(self, say: bool = True):
        self.say = say
        self.pair = None

    def on_validation_epoch_end(self, trainer, module):
        logits, labels, _rows = module.val_predictions.compute()
        counts = torch.zeros(len(CLASSES), len(CLASSES)).index_put_((labels, logits.argmax(1)), torch.tensor(1.0), accumulate=True)
        both = (counts + counts.T).triu(1)
        self.pair = tuple(CLASSES[place] for place in divmod(both.argmax().item(), len(CLASSES)))
        module.log("val/most_confused", both.max() / len(labels))
        if self.say:
            print("most confused:", *self.pair)

    # An interrupted run continues with what its callbacks save, which may be numbers, texts and tensors.
    def state_dict(self):
        return {"pair": self.pair}

    def load_state_dict(self, state):
        self.pair = state["pair"]
