"""The test of a run: one pass over val and test with the selected weights, every score, and predictions.parquet."""

from functools import partial

import numpy as np
import torch

from fer_lightning.data.ferplus import distribution
from fer_lightning.data.twins import image_ids, without_twin
from fer_lightning.model.metrics import accuracy, agreement, score_parts
from fer_lightning.runs.predictions import write_predictions
from fer_lightning.runs.result import COUNTS


def evaluate(trainer, module, data, faces, *, views, folder, photos=None):
    """Score the weights as they are on val and test, from one view per image, and write predictions.parquet.

    views:  the `Views` of the config; if they are several, a second pass adds every score of their average, as NAME_<kind>, and writes
            predictions_<kind>.parquet
    photos: equal for near twins, (N,); if given, clean scores are also computed without these: accuracy_clean_near

    Returns {val: scores, test: scores}; None for a part without images, and for val if it was trained on.
    """
    record = partial(_record, faces=faces, split=data.split, folder=folder, photos=photos)
    metrics = record(logits_of_parts(trainer, module, data))
    if views.count > 1:
        add_views(metrics, record(logits_of_parts(trainer, module, data, views), views=views.kind), views.kind)
    return metrics


def add_views(metrics, averaged, kind):
    """Add to the scores of each part those of the average of several views of each image, named for their kind."""
    for part, scores in averaged.items():
        if scores:
            metrics[part] |= {_of_views(name, kind): value for name, value in scores.items() if name not in COUNTS}


def _of_views(name, kind):
    """The name of a score of several views: accuracy_clean of ten crops is accuracy_ten_crop_clean, top2 is top2_ten_crop."""
    return name.replace("accuracy", f"accuracy_{kind}") if name.startswith("accuracy") else f"{name}_{kind}"


def _record(parts, *, faces, split, folder, photos, views=None):
    """Write the predictions {part: (logits (N, C), labels (N,), rows (N,))}, and return the scores of each part."""
    masks = _clean_masks(faces, split, parts["test"][2], photos) if "test" in parts else {}
    clean = masks.get("clean")
    arrays = {part: tuple(values.cpu().numpy() for values in (logits.softmax(1), *rest)) for part, (logits, *rest) in parts.items()}
    write_predictions(folder, arrays, None if clean is None else clean.cpu().numpy(), views)
    metrics = score_parts(parts, clean, faces.classes)
    if faces.votes is not None:
        for part, (logits, _, rows) in parts.items():
            metrics[part] |= agreement(logits, torch.from_numpy(distribution(faces.votes[rows.cpu().numpy()])).to(logits.device))
    if "clean_near" in masks:
        logits, labels, _ = parts["test"]
        clean = masks["clean_near"]
        metrics["test"] |= {"accuracy_clean_near": accuracy(logits, labels, clean), "n_clean_near": int(clean.sum())}
    return metrics


def _clean_masks(faces, split, rows, photos):
    """{clean, and clean_near if photos are given: which of the test images `rows` (N,) have no twin in train or val, (N,) bool}."""
    ids = {"clean": image_ids(faces.pixels)} | ({} if photos is None else {"clean_near": photos})
    seen = np.concatenate([split.train, split.val])
    return {name: torch.from_numpy(without_twin(i, rows.cpu().numpy(), seen)).to(rows.device) for name, i in ids.items()}


def logits_of_parts(trainer, module, data, views=None):
    """{part: (logits (N, C), labels (N,), rows (N,))} of val, if it is held out, and of test, if there is one.

    views: that the module uses from now on, with fewer images at a time, so that a batch stays as large; None: the views it has
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
