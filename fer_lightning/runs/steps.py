"""steps.parquet: one row a training step, replaced as an epoch ends."""

from pathlib import Path

from fer_lightning.process.files import replacing
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import STEPS


@first_only
def write_steps(folder, steps):
    """steps: frame with epoch, loss, grad_norm (before clipping) and lr of each training step; `step` counts them from 1."""
    table = steps[["epoch", "loss", "grad_norm", "lr"]].astype({"epoch": "int32", "lr": "float32"})
    table.insert(0, "step", range(1, len(table) + 1))
    with replacing(Path(folder) / STEPS) as part:
        table.to_parquet(part, index=False)
