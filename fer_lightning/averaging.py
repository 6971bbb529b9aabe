"""Weight averaging that costs what trains, not what stands still."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel


class TrainedAveraging(WeightAveraging):
    """Lightning's, except that a frozen backbone, which is its own average, is neither copied nor updated after each step.

    On kept features that update took two fifths of a training, and checkpoints held the backbone twice.
    """

    def setup(self, trainer, module, stage):
        super().setup(trainer, module, stage)
        if stage == "fit" and module.phase.freeze == "all":
            whole = self._average_model
            whole.module.backbone = module.backbone
            behind = AveragedModel(module.head, use_buffers=True, **self._kwargs)
            # The same tensors and the same count, so that checkpoints and validation see the average as ever.
            behind.module, behind.n_averaged = whole.module.head, whole.n_averaged
            whole.update_parameters = lambda now: behind.update_parameters(now.head)
