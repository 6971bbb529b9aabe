"""Loggers that mirror the run folder: one function builds each, `show` adds the result of a finished run, `close` ends them.

folder: of the run; name: of its cell and seed; labels: {study, protocol, verdict, and the cell's swept keys: value}
run_id: of the logger's own run that a resumed job goes on with; tags: the user's own, a list or a single one
"""

import logging
import os
import re
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

from fer_lightning.data.faces import CLASSES, classes_of
from fer_lightning.runs.layout import METRICS, PREDICTIONS, RESULT, STEPS
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.safety.untrusted_files import check_file

log = logging.getLogger(__name__)

RECORD = (RESULT, METRICS, STEPS, PREDICTIONS)

LARGEST_ARTIFACT = 10_000_000_000

SINGLE = "single"  # the group of the runs that are of no study

LONGEST_TAG = 64  # W&B refuses a run with a longer one

# Seconds that W&B's server has to answer, and then to begin a run: the client would wait for 90.
LONGEST_ANSWER_S = 5
LONGEST_START_S = 30


def wandb(*, project: str, folder: str, name: str, labels: dict, run_id: str | None = None, tags: list | str = ()):
    """A W&B run of its own for this job: offline unless the user is logged in or WANDB_MODE says otherwise."""
    import wandb as client
    from lightning.pytorch.loggers import WandbLogger

    # Listing all installed packages takes 0.3 s of each run; the versions that matter are in result.json, which W&B gets.
    settings = client.Settings(silent=True, x_save_requirements=False, init_timeout=LONGEST_START_S)
    client.setup(settings)
    mode = wandb_mode()
    start = partial(
        client.init,
        project=project,
        dir=folder,
        name=name,
        group=labels["study"],
        job_type="train",
        tags=[*(f"{key}={value}"[:LONGEST_TAG] for key, value in labels.items()), *_as_list(tags)],
        settings=settings,
        id=run_id or _new_id(labels["study"]),
        resume="allow" if run_id else None,
    )
    try:
        run = start(mode=mode)
    except client.errors.CommError as error:
        run = start(mode=_go_offline(error))
    run.define_metric("*", step_metric="epoch")
    if run_id and run.offline and Path(folder, METRICS).exists():
        # Each attempt leaves an offline run of its own, and the newest one is uploaded: it must hold all epochs.
        for row in read_metrics(folder):
            run.log({key: value for key, value in row.items() if key != "step"})
    return WandbLogger(experiment=run, save_dir=folder)


def _new_id(study):
    """The id of a run of a study. A single run may take that of WANDB_RUN_ID; in a study all jobs would take it, and be one run."""
    return None if study == SINGLE else uuid4().hex[:8]


def _as_list(tags):
    return [tags] if isinstance(tags, str) else list(tags)


def wandb_mode():
    """online | offline | what WANDB_MODE says. If its server does not answer, the runs from here on are offline, in this process and in
    those that it starts.
    """
    import wandb as client

    mode = os.environ.get("WANDB_MODE") or ("online" if client.login(prompt=False, verify=False) else "offline")
    if mode != "online" or _answers(server := client.setup().settings.base_url):
        return mode
    return _go_offline(f"{server} does not answer.")


def _go_offline(reason):
    log.warning("W&B is out of reach, so the runs of this sweep are offline; fer_lightning.wandb_push uploads them. %s", reason)
    os.environ["WANDB_MODE"] = "offline"  # so that the next jobs do not wait for it
    return "offline"


def _answers(url):
    """Whether the server of a URL says anything within some seconds, its name looked up. A gateway's excuse does not count."""
    heard = threading.Event()

    def ask():
        with suppress(OSError):
            try:
                urlopen(url, timeout=LONGEST_ANSWER_S).close()
            except HTTPError as error:
                if error.code >= 500:
                    return
            heard.set()

    asking = threading.Thread(target=ask, daemon=True)  # looking up a name has no time limit of its own
    asking.start()
    asking.join(LONGEST_ANSWER_S)
    return heard.is_set()


def tensorboard(*, folder: str, name: str, labels: dict, run_id: str | None = None):
    """Event files in the run folder."""
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=folder, name=None, version="tensorboard", default_hp_metric=False)


def mlflow(*, tracking_uri: str, experiment: str, folder: str, name: str, labels: dict, run_id: str | None = None, tags: list | str = ()):
    """A run in an MLflow store: a SQLite file, or a server by its URI."""
    from lightning.pytorch.loggers import MLFlowLogger

    allowed = {re.sub(r"[^\w./-]", "_", key): str(value) for key, value in labels.items()}  # MLflow refuses other names
    labels = allowed | dict.fromkeys(_as_list(tags), "true")
    return MLFlowLogger(experiment_name=experiment, run_name=name, tracking_uri=tracking_uri, tags=labels, run_id=run_id)


def config(settings, job, model):
    """The config of a run in a logger.

    settings: {dotted key: value}, nested here, because W&B reads a dot in a key as a level
    job, model: of result.json

    `cell` and a flat `cell_*` for each swept key are what boards group by: head.act becomes cell_head_act.
    """
    nested = {}
    for key, value in settings.items():
        if value == {}:  # W&B leaves it out
            continue
        *path, last = key.split(".")
        node = nested
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    cell = " ".join(f"{key}={value}" for key, value in job["cell"].items()) or "default"
    axes = {cell_key(key): str(value) for key, value in job["cell"].items()}
    return {"cell": cell, **axes, "job": job["id"], "model": model, **nested}


def cell_key(axis):
    """The config key that holds the value of a swept key."""
    return "cell_" + re.sub(r"\W+", "_", axis)


def summary(result):
    """{name: number} of a finished run for its loggers: all scores of the selected epoch, the stability of the run, the cost.

    stability/run_gap is of the run, while stability/gap in the history is of an epoch.
    """
    metrics = result["metrics"]
    scores = {f"best/{part}_{name}": value for part in ("train", "val") for name, value in (metrics[part] or {}).items()}
    scores |= {f"test/{name}": value for name, value in (metrics["test"] or {}).items()}
    scores |= {f"stability/run_{name}": value for name, value in result["stability"].items() if name != "provisional"}
    scores |= {"best/epoch": result["selected"]["epoch"], "cost/fit_s": result["time"]["fit_s"]}
    return {name: float(value) for name, value in scores.items() if isinstance(value, (bool, int, float))}


def show(loggers, folder, result):
    """Add to each logger the result.json of a finished run, and the files of the run folder if it can hold files."""
    from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger, WandbLogger

    folder, test, names = Path(folder), result["metrics"]["test"], classes_of(result)
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            show_in_wandb(logger.experiment, folder, result)
            continue
        logger.log_metrics(summary(result))
        if isinstance(logger, MLFlowLogger):
            logger.experiment.set_tag(logger.run_id, "stability", result["stability"]["label"])
            for name in RECORD:
                logger.experiment.log_artifact(logger.run_id, str(folder / name))
            if test:
                logger.experiment.log_image(logger.run_id, confusion_image(test["confusion"], names), "confusion.png")
        elif isinstance(logger, TensorBoardLogger) and test:
            logger.experiment.add_image("test/confusion", confusion_image(test["confusion"], names), dataformats="HWC")


def show_in_wandb(run, folder, result):
    """The scores as summary, not as one more row of history; the tables and the confusion of the test part; the record as an artifact."""
    import wandb as client

    run.summary.update(summary(result) | {"stability/run_label": result["stability"]["label"]})
    test = result["metrics"]["test"]
    if test:
        names = classes_of(result)
        counts = [[true, said, n] for true, row in zip(names, test["confusion"]) for said, n in zip(names, row)]
        classes = [[name, *scores.values()] for name, scores in test["per_class"].items()]
        run.log(
            {
                "epoch": result["selected"]["epoch"],
                "test/confusion": client.Image(confusion_image(test["confusion"], names)),
                "test/confusion_counts": client.Table(["true", "predicted", "pictures"], counts),
                "test/per_class": client.Table(["class", *next(iter(test["per_class"].values()))], classes),
            }
        )
    run.log_artifact(record_artifact(run.id, folder, result))


def record_artifact(run_id, folder, result):
    """The files of the record as a W&B artifact. They are not copied: an offline run needs its folder until it is uploaded."""
    import wandb as client

    record = client.Artifact(f"record-{run_id}", type="run-record", metadata={"job": result["job"]["id"]})
    for name in RECORD:
        check_file(Path(folder) / name, LARGEST_ARTIFACT)  # a link would upload a file from elsewhere
        record.add_file(str(Path(folder) / name), policy="immutable", skip_cache=True)
    return record


def confusion_image(counts, names=CLASSES):
    """The confusion matrix as the report draws it, pixels (H, W, 3) uint8. counts: C x C, a row for each true class; names: theirs"""
    import numpy as np

    from fer_lightning.figures.description import Matrix
    from fer_lightning.figures.matplotlib_files import matrix_pixels

    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return matrix_pixels(Matrix("confusion", "test part, % of each true class", "", names, shares))


def close(loggers, succeeded):
    """End all loggers. Otherwise the next job of a sweep would write into the W&B run of this one."""
    for logger in loggers:
        logger.finalize("success" if succeeded else "failed")
    client = sys.modules.get("wandb")
    if client is not None and client.run is not None:
        client.finish(exit_code=0 if succeeded else 1)
