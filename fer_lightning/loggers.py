"""Loggers that mirror the run folder. Each function builds one, for one job; `close` ends them with the job's status."""

import logging
import os
import sys
import uuid


def wandb(project: str, folder: str, name: str, group: str, tags: list = (), run_id: str | None = None):
    """A W&B run of its own for this job: offline unless the user is logged in or WANDB_MODE says otherwise."""
    import wandb as client
    from lightning.pytorch.loggers import WandbLogger

    settings = client.Settings(silent=True)
    mode = os.environ.get("WANDB_MODE") or ("online" if client.setup(settings).settings.api_key else "offline")
    # The rank-zero hint to install or log in again is noise once per job.
    logging.getLogger("wandb").setLevel(logging.ERROR)
    return WandbLogger(
        project=project,
        name=name,
        group=group,
        job_type="train",
        tags=list(tags),
        id=run_id or uuid.uuid4().hex[:12],
        resume="allow",
        save_dir=folder,
        mode=mode,
        settings=settings,
    )


def tensorboard(folder: str, name: str, group: str, tags: list = ()):
    """Event files in the run folder."""
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=folder, name=None, version="tensorboard", default_hp_metric=False)


def mlflow(tracking_uri: str, experiment: str, folder: str, name: str, group: str, tags: list = ()):
    """A run in an MLflow store: a SQLite file, or a server by its URI."""
    from lightning.pytorch.loggers import MLFlowLogger

    labels = {"study": group, **dict.fromkeys(tags, "true")}
    return MLFlowLogger(experiment_name=experiment, run_name=name, tracking_uri=tracking_uri, tags=labels)


def close(loggers, succeeded):
    """End every logger. Without this the next job of a sweep would write into this job's W&B run."""
    for logger in loggers:
        logger.finalize("success" if succeeded else "failed")
    client = sys.modules.get("wandb")
    if client is not None and client.run is not None:
        client.finish(exit_code=0 if succeeded else 1)


def run_ids(loggers):
    """{logger class: id of the run there}, for the record."""
    return {type(logger).__name__: logger.version for logger in loggers if isinstance(logger.version, str)}
