"""Loggers that mirror the run folder. Each function builds one, for one job; `close` ends them with the job's status.

folder: of the run; name: of its cell; group: its study; labels: its protocol and the verdict on its data, beside the user's own tags.
"""

import os
import sys


def wandb(project: str, folder: str, name: str, group: str, labels: list, tags: list = ()):
    """A W&B run of its own for this job: offline unless the user is logged in or WANDB_MODE says otherwise."""
    import wandb as client
    from lightning.pytorch.loggers import WandbLogger

    settings = client.Settings(silent=True)
    mode = os.environ.get("WANDB_MODE") or ("online" if client.setup(settings).settings.api_key else "offline")
    run = client.init(
        project=project, dir=folder, name=name, group=group, job_type="train", tags=[*labels, *tags], mode=mode, settings=settings
    )
    run.define_metric("*", step_metric="epoch")
    return WandbLogger(experiment=run, save_dir=folder)


def tensorboard(folder: str, name: str, group: str, labels: list):
    """Event files in the run folder."""
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=folder, name=None, version="tensorboard", default_hp_metric=False)


def mlflow(tracking_uri: str, experiment: str, folder: str, name: str, group: str, labels: list, tags: list = ()):
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
