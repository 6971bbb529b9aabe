"""Which warnings of Lightning and torch are left out, because they hold for every run here and no user can act on them."""

import logging
import warnings

NOISE = (
    ".*does not have many workers.*",
    ".*is smaller than the logging interval.*",
    ".*exists and is not empty.*",
    ".*LeafSpec.*is deprecated.*",
    ".*WeightAveraging callback.*",
    ".*overridden `on_after_batch_transfer`.*",
    ".*in eval mode at the start of training.*",
    ".*sync_dist=True.*",  # what is logged is the same on every process
    ".*`srun` command is available.*",
    ".*Total length of `list` across ranks is zero.*",
    ".*your dataloader is not resumable.*",
)


def quieten():
    """Silence these warnings from now on."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
