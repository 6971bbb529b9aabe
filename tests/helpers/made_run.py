"""A run folder with predictions of a made-up network."""

import torch

from fer_lightning.model.metrics import score
from fer_lightning.runs.predictions import write_predictions
from fer_lightning.runs.result import write_result


def make_run(folder, seed, rows=range(40), protocol="official", fingerprint="f", labels=None, clean=True, cell=None, **result):
    """A run folder with predictions of a made-up net. The labels are the same for all seeds, unless given."""
    folder.mkdir(parents=True)
    rows = torch.tensor(list(rows))
    labels = rows % 7 if labels is None else labels
    logits = torch.randn((len(rows), 7), generator=torch.Generator().manual_seed(seed)) + 2 * torch.nn.functional.one_hot(labels, 7)
    parts = {"test": (logits.softmax(1).numpy(), labels.numpy(), rows.numpy())}
    write_predictions(folder, parts, (rows % 2 == 0).numpy() if clean else None)
    metrics = score(logits, labels) | {"accuracy_clean": None, "n": len(rows), "n_clean": None}
    whole = {
        "status": "done",
        "job": {"id": f"{seed:016d}", "study": None, "cell": cell or {}, "seed": seed, "overrides": []},
        "protocol": protocol,
        "data": {"source": "here", "verdict": "official", "fingerprint": {"PrivateTest": fingerprint}},
        "model": {"backbone": "net", "parameters": 10, "trainable": 5, "flops": 100},
        "environment": {"torch": "2.10", "started": str(seed)},
        "selected": {"epoch": 1, "monitor": "val/accuracy", "value": 0.5},
        "metrics": {"val": None, "test": metrics, "train": None},
        "time": {"fit_s": 1.0, "test_s": 0.5, "total_s": 2.0},
    }
    write_result(folder, whole | result)
    return folder
