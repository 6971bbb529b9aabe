"""What a command asks for beside the training after the run was done: it is measured on the tested weights and predictions, and added."""

import numpy as np

from fer_lightning.config.targets import build
from fer_lightning.data.twins import without_twin
from fer_lightning.model.compiling import compile_nets
from fer_lightning.model.precision import full_name
from fer_lightning.process.errors import UserError
from fer_lightning.runs.predictions import part_of, probabilities, read_predictions
from fer_lightning.runs.result import read_result, write_result
from fer_lightning.training.restore import restore_module
from fer_lightning.training.timing import timed_pass
from fer_lightning.training.train import load_data


def measure_later(cfg, folder, lacking):
    """Add to the result.json of a finished run what it lacks: timed_passes, near_twins, or both. UserError if the data have changed."""
    result = read_result(folder)
    accumulate = result["batch"]["accumulate"]
    faces, data, photos = load_data(cfg, accumulate)
    if faces.fingerprint != result["data"]["fingerprint"]:
        raise UserError(f"{folder}: the data changed since this run, so {' and '.join(lacking)} cannot be measured for it.")
    views = build(cfg.evaluation, "evaluation")
    if "near_twins" in lacking:
        for kind in (None, views.kind) if views.count > 1 else (None,):
            result["metrics"]["test"] |= _without_near_twins(part_of(read_predictions(folder, kind), "test"), data.split, photos, kind)
        result["data"]["near_twins"] = cfg.near_twins
    if "timed_passes" in lacking:
        _, module = restore_module(folder)
        module.views = views
        data.eval_batch_size = max(1, data.eval_batch_size // views.count)
        if cfg.compile:
            compile_nets(module)
        result["time"] |= timed_pass(module, data, cfg.timed_passes, full_name(result["environment"]["precision"]))
    write_result(folder, result)


def _without_near_twins(table, split, photos, kind):
    """The scores of predictions of the test part among the images without a near twin in training or validation."""
    clean = without_twin(photos, table.index.to_numpy(), np.concatenate([split.train, split.val]))
    answers = probabilities(table)
    hits = np.isfinite(answers).all(1) & (answers.argmax(1) == table["label"].to_numpy())
    accuracy = float(hits[clean].mean())
    return {f"accuracy_{kind}_clean_near": accuracy} if kind else {"accuracy_clean_near": accuracy, "n_clean_near": int(clean.sum())}
