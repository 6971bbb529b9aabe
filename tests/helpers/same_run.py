"""Whether two run folders are of one training, bit for bit."""

import pandas as pd
import torch

from fer_lightning.runs.result import read_result


def assert_same_run(run, other):
    a, b = read_result(run), read_result(other)
    for part in ("selected", "metrics", "stability", "data", "model"):
        assert a[part] == b[part], part
    assert (run / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    for name in ("predictions.parquet", "steps.parquet"):
        pd.testing.assert_frame_equal(*(pd.read_parquet(folder / name) for folder in (run, other)), check_exact=True)
    weights = [torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True) for folder in (run, other)]
    assert weights[0]["epoch"] == weights[1]["epoch"]
    for name, value in weights[0]["state_dict"].items():
        assert torch.equal(value, weights[1]["state_dict"][name]), name
    assert [path.name for path in (other / "checkpoints").iterdir()] == ["best.ckpt"]
