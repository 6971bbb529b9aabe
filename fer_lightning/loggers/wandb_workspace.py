"""The W&B workspace in which the runs of a study are compared, grouped by cell."""

import json

from fer_lightning.loggers.mirrors import cell_key, summary
from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.layout import run_folders
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.runs.scores import ranked
from fer_lightning.runs.study_file import read_ledger

CURVES = ("val/accuracy", "train/accuracy", "val/loss", "train/loss", "lr")


def board(folder, entity="", project=""):
    """The workspace of a study folder, as an object of the package wandb-workspaces. Sends nothing."""
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
        from wandb_workspaces import expr
    except ImportError as error:
        raise UserError("A board needs the package wandb-workspaces: pip install 'fer_lightning[wandb]'.") from error

    try:
        ledger, runs = _read(folder)
        scores = dict.fromkeys(key for run in runs for key in summary(read_result(run)))
        history = dict.fromkeys(key for run in runs for key in read_metrics(run)[0])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"A run in {folder} is damaged ({type(error).__name__}: {' '.join(str(error).split())}).") from error
    name = ledger["study"]["name"]
    axes = [axis for axis in ledger["axes"] if axis != "seed"]
    ranking = ["best/val_accuracy", *(f"test/{score.name}" for score in ranked())]

    def bars(keys, by="cell"):
        about = {"groupby": panels.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev", "orientation": "v"}
        return [panels.BarPlot(title=_title(key, by), metrics=[key], **about) for key in keys if key in scores]

    def curves(keys):
        about = {"groupby": panels.Config("cell"), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
        return [panels.LinePlot(title=key, x="epoch", y=[key], **about) for key in keys if key in history]

    sections = {
        "Scores by cell, mean and sd over seeds": bars(ranking),
        "Accuracy by axis": [bar for axis in axes if len(axes) > 1 for bar in bars(ranking[:2], cell_key(axis))],
        "Learning curves": curves(CURVES),
        "Stability by cell": bars(key for key in scores if key.startswith("stability/run_")),
        "Stability while training": curves(key for key in history if key.startswith("stability/")),
        "Test part": [panels.MediaBrowser(title="Confusion, selected epoch", media_keys=["test/confusion"])],
        "Cost": [
            *bars(key for key in scores if key.startswith("cost/")),
            panels.ScatterPlot(
                title="accuracy for its cost", x=panels.SummaryMetric("cost/fit_s"), y=panels.SummaryMetric("best/val_accuracy")
            ),
        ],
    }
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=f"{name}: cells compared",
        sections=[workspaces.Section(name=title, panels=found, is_open=True) for title, found in sections.items() if found],
        settings=workspaces.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=workspaces.RunsetSettings(
            filters=[expr.Metric("Group") == name, expr.Metric("JobType") == "train"],
            groupby=[expr.Config("cell")],
            order=[expr.Ordering(expr.Summary("best/val_accuracy"), ascending=False)],
            pinned_columns=[f"summary:{key}" for key in ("best/val_accuracy", "test/accuracy", "test/accuracy_clean") if key in scores],
        ),
        auto_generate_panels=False,
    )


def specification(workspace):
    """What is sent to the server, as plain containers."""
    return json.loads(workspace._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))


def _read(folder):
    """(study.json, the folders of the done runs)."""
    ledger = read_ledger(folder)
    runs = [run for run in run_folders(folder) if read_result(run)["status"] == "done"]
    if ledger is None or not runs:
        raise UserError(f"{folder} is no study with a finished job. Name the folder of a study, such as multirun/NAME.")
    return ledger, runs


def _title(key, by):
    return key if by == "cell" else f"{key} by {by.removeprefix('cell_')}"


def project_of(folder):
    """The project that the study's runs were logged to."""
    logged = read_config(_read(folder)[1][0]).get("logger") or {}
    if "wandb" not in logged:
        raise UserError(f"The runs of {folder} were not logged to W&B (logger=wandb). Name a project with --project.")
    return logged.wandb.project
