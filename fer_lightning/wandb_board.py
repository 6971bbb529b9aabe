"""The comparison board of a study: a W&B workspace with its runs grouped by cell, so that each line and bar is a mean over seeds.

    python -m fer_lightning.wandb_board multirun/NAME              builds it and prints its address
    python -m fer_lightning.wandb_board multirun/NAME --dry-run    prints the specification as JSON, without a network

Needs `pip install 'fer_lightning[wandb]'`. The panels are of what the study's run folders hold, so none stays empty. Build it once: runs
that are added to the study appear on it.
"""

import argparse
import json
import sys
from pathlib import Path

from fer_lightning.loggers import mirrors as loggers
from fer_lightning.loggers.wandb_offline import connect
from fer_lightning.process.errors import UserError
from fer_lightning.runs.config_files import read_config
from fer_lightning.runs.layout import run_folders
from fer_lightning.runs.metrics_csv import read_metrics
from fer_lightning.runs.result import read_result
from fer_lightning.runs.study_file import read_ledger

ACCURACY = ("best/val_accuracy", "test/accuracy", "test/accuracy_clean", "test/macro_f1")
CURVES = ("val/accuracy", "train/accuracy", "val/loss", "train/loss", "lr")


def board(folder, entity="", project=""):
    """The workspace of a study folder, as an object of the package wandb-workspaces; nothing is sent."""
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
        from wandb_workspaces import expr
    except ImportError as error:
        raise UserError("A board needs the package wandb-workspaces: pip install 'fer_lightning[wandb]'.") from error

    ledger, runs = _read(folder)
    name = ledger["study"]["name"]
    summary = dict.fromkeys(key for run in runs for key in loggers.summary(read_result(run)))
    history = dict.fromkeys(key for run in runs for key in read_metrics(run)[0])
    axes = [axis for axis in ledger["axes"] if axis != "seed"]

    def bars(keys, by="cell"):
        about = {"groupby": panels.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev", "orientation": "v"}
        return [panels.BarPlot(title=_title(key, by), metrics=[key], **about) for key in keys if key in summary]

    def curves(keys):
        about = {"groupby": panels.Config("cell"), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
        return [panels.LinePlot(title=key, x="epoch", y=[key], **about) for key in keys if key in history]

    sections = {
        "Accuracy by cell, mean and sd over seeds": bars(ACCURACY),
        "Accuracy by axis": [bar for axis in axes if len(axes) > 1 for bar in bars(ACCURACY[:2], loggers.cell_key(axis))],
        "Learning curves": curves(CURVES),
        "Stability by cell": bars(key for key in summary if key.startswith("stability/run_")),
        "Stability while training": curves(key for key in history if key.startswith("stability/")),
        "Test part": [panels.MediaBrowser(title="Confusion, selected epoch", media_keys=["test/confusion"])],
        "Cost": [
            *bars(key for key in summary if key.startswith("cost/")),
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
            pinned_columns=[f"summary:{key}" for key in ("best/val_accuracy", "test/accuracy", "test/accuracy_clean") if key in summary],
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


def _project(folder):
    """The project that the study's runs were logged to."""
    logged = read_config(_read(folder)[1][0]).logger
    if "wandb" not in logged:
        raise UserError(f"The runs of {folder} were not logged to W&B (logger=wandb). Name a project with --project.")
    return logged.wandb.project


def main():
    parser = argparse.ArgumentParser(prog="python -m fer_lightning.wandb_board", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME")
    parser.add_argument("--entity", help="user or team; default: the login's own")
    parser.add_argument("--project", help="default: the one the study was logged to")
    parser.add_argument("--dry-run", action="store_true", help="print the specification; send nothing")
    args = parser.parse_args()
    try:
        if args.dry_run:
            print(json.dumps(specification(board(args.folder)), indent=1))
        else:
            api = connect()
            print(board(args.folder, args.entity or api.default_entity, args.project or _project(args.folder)).save().url)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
