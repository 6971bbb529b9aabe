"""The comparison board of a study: a W&B workspace with its runs grouped by cell, so that each line and bar is a mean over seeds.

    python -m fer_lightning.wandb_board multirun/NAME              builds it and prints its address
    python -m fer_lightning.wandb_board multirun/NAME --dry-run    prints the specification as JSON, without a network

Needs `pip install 'fer_lightning[wandb]'`. The panels show what the study's run folders hold, so none stays empty. Build it once: runs
that are added to the study appear on it.
"""

import json
from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME")
    parser.add_argument("--entity", help="user or team; default: the login's own")
    parser.add_argument("--project", help="default: the one the study was logged to")
    parser.add_argument("--dry-run", action="store_true", help="print the specification; send nothing")


def run(arguments):
    from fer_lightning.loggers.wandb_offline import connect
    from fer_lightning.loggers.wandb_workspace import board, project_of, specification

    folder, entity, project = arguments.folder, arguments.entity, arguments.project
    if arguments.dry_run:
        print(json.dumps(specification(board(folder)), indent=1))
    else:
        api = connect()
        print(board(folder, entity or api.default_entity, project or project_of(folder)).save().url)


main = command("wandb_board", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
