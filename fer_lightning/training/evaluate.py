"""The one pass over val and test with the selected weights: every score, and predictions.parquet."""

import numpy as np
import torch

from fer_lightning.data.ferplus import distribution
from fer_lightning.data.twins import picture_ids, without_sibling
from fer_lightning.model.agreement import agreement
from fer_lightning.model.metrics import accuracy, score_parts
from fer_lightning.runs.predictions import write_predictions


def evaluate(trainer, module, data, faces, views, folder, photos=None):
    """Score the weights as they are on val and test, and write predictions.parquet, from one view of each picture.

    Where `views` asks for several, a second pass adds accuracy_<kind>, from all of them.
    Where `photos` (N,) says which pictures are near twins, the clean scores are also given without these: accuracy_clean_near.
    Returns {val: scores, test: scores}; None for a part without pictures or, of val, one that was trained on.
    """
    parts = predict(trainer, module, data)
    clean = _clean(faces, data.split, parts["test"][2]) if "test" in parts else None
    arrays = {part: tuple(values.cpu().numpy() for values in (logits.softmax(1), *rest)) for part, (logits, *rest) in parts.items()}
    write_predictions(folder, arrays, None if clean is None else clean.cpu().numpy())
    metrics = score_parts(parts, clean)
    if faces.votes is not None:
        for part, (logits, _, rows) in parts.items():
            metrics[part] |= agreement(logits, torch.from_numpy(distribution(faces.votes[rows.cpu().numpy()])).to(logits.device))
    if photos is not None and "test" in parts:
        logits, labels, rows = parts["test"]
        clean = _clean(faces, data.split, rows, photos)
        metrics["test"] |= {"accuracy_clean_near": accuracy(logits, labels, clean), "n_clean_near": int(clean.sum())}
    if views.count > 1:
        for part, (logits, labels, rows) in predict(trainer, module, data, views).items():
            metrics[part][f"accuracy_{views.kind}"] = accuracy(logits, labels)
            if part == "test":
                metrics[part][f"accuracy_{views.kind}_clean"] = accuracy(logits, labels, _clean(faces, data.split, rows))
                if photos is not None:
                    metrics[part][f"accuracy_{views.kind}_clean_near"] = accuracy(logits, labels, _clean(faces, data.split, rows, photos))
    return metrics


def _clean(faces, split, rows, ids=None):
    """Which of the test pictures `rows` (N,) have no twin among those the run trained or selected on. (N,) bool.

    ids: equal for twins; without it these are the identical pictures
    """
    seen = np.concatenate([split.train, split.val])
    ids = picture_ids(faces.pixels) if ids is None else ids
    return torch.from_numpy(without_sibling(ids, rows.cpu().numpy(), seen)).to(rows.device)


def predict(trainer, module, data, views=None):
    """{part: (logits (N, 7), labels (N,), rows (N,))} of val and test, as far as there are such parts.

    views: that the module takes of each picture from now on, with as many pictures at a time as before; None: those it takes
    """
    if views is not None:
        module.views = views
        data.eval_batch_size = max(1, data.eval_batch_size // views.count)
    parts = {}
    if data.selects:
        trainer.validate(module, data, verbose=False)
        parts["val"] = module.val_predictions.compute()
    if len(data.split.test):
        trainer.test(module, data, verbose=False)
        parts["test"] = module.test_predictions.compute()
    return parts
