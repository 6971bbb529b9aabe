"""steps.parquet: one row a training step, replaced as an epoch ends."""

from pathlib import Path

from fer_lightning.process.files import replacing
from fer_lightning.process.first_process import first_only
from fer_lightning.runs.layout import STEPS
from fer_lightning.safety.untrusted_files import read_parquet

COLUMNS = ("epoch", "images", "loss", "grad_norm", "lr")

# Of the published recipes none has 100,000.
MOST_STEPS = 50_000_000


@first_only
def write_steps(folder, steps):
    """steps: frame with epoch, images (how many it saw), loss, grad_norm (before clipping) and lr of each; `step` counts them from 1."""
    table = steps[list(COLUMNS)].astype({"epoch": "int32", "images": "int32", "lr": "float32"})
    table.insert(0, "step", range(1, len(table) + 1))
    with replacing(Path(folder) / STEPS) as part:
        table.to_parquet(part, index=False)


def read_steps(folder):
    """The table of a run folder: step and COLUMNS, all numbers. OSError if there is no such file; ValueError if it is damaged."""
    return read_parquet(Path(folder) / STEPS, _known_columns, MOST_STEPS).to_pandas()


def _known_columns(kinds):
    from pyarrow import types

    names = ["step", *COLUMNS]
    if not all(name in kinds and (types.is_integer(kinds[name]) or types.is_floating(kinds[name])) for name in names):
        raise ValueError(f"it wants {', '.join(names)}")
    return names
