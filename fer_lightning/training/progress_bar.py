"""The progress of a pass over the data on a terminal: one line, which is gone before the epoch's own line is written."""

from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

COLUMNS = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("batches"), TimeRemainingColumn())


class ProgressBar(Callback):
    """Epochs are counted from 1, as in their lines. While the bar is shown, what is logged appears above it."""

    def __init__(self):
        self._bar = None

    def _begin(self, title, batches):
        self._end()
        self._bar = Progress(*COLUMNS, transient=True, refresh_per_second=2)
        self._task = self._bar.add_task(title, total=batches)
        self._bar.start()

    def _end(self, *_, stage=None):
        if self._bar:
            self._bar.stop()
            self._bar = None

    def on_train_epoch_start(self, trainer, module):
        self._begin(_epoch(trainer), trainer.num_training_batches)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
        if self._bar:
            self._bar.update(self._task, completed=batch_idx + 1)

    def on_validation_epoch_start(self, trainer, module):
        title = f"{_epoch(trainer)}, validation" if trainer.state.fn == "fit" else "validation"
        self._begin(title, sum(trainer.num_val_batches))

    def on_test_epoch_start(self, trainer, module):
        self._begin("test", sum(trainer.num_test_batches))

    on_train_start = on_train_epoch_start  # a run that continues in the middle of an epoch begins there
    on_validation_batch_end = on_test_batch_end = on_train_batch_end
    on_train_epoch_end = on_validation_epoch_end = on_test_epoch_end = _end
    on_exception = teardown = _end


def _epoch(trainer):
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
