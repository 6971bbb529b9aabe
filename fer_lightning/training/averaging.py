"""Weight averaging that costs what trains, not what stands still."""

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel


class TrainedAveraging(WeightAveraging):
    """Lightning's, except that a frozen backbone, which is its own average, is neither copied, nor updated, nor swapped for validation.

    On kept features its update took two fifths of a training.
    """

    _behind = None

    def setup(self, trainer, module, stage):
        super().setup(trainer, module, stage)
        if stage == "fit" and module.phase.freeze == "all":
            whole = self._average_model
            whole.module.backbone = module.backbone
            self._behind = AveragedModel(module.head, use_buffers=True, **self._kwargs)
            # The same tensors and the same count, so that checkpoints and validation see the average as ever.
            self._behind.module, self._behind.n_averaged = whole.module.head, whole.n_averaged
            whole.update_parameters = lambda now: self._behind.update_parameters(now.head)

    def _swap_models(self, module):
        if self._behind is None:
            return super()._swap_models(module)
        whole, self._average_model = self._average_model, self._behind
        super()._swap_models(module.head)
        self._average_model = whole
