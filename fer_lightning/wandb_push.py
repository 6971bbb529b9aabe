"""Upload offline W&B runs to the server under the ids they have, and check that nothing is lost on the way.

    python -m fer_lightning.wandb_push FOLDER      a run folder, multirun/NAME, or multirun

The client's own `wandb sync` uploads. Each run is then read back and compared with its run folder: every epoch, every score, the config,
the files of the record. What is missing is sent once more from the folder. The same command again uploads what is new and checks all.
"""

from pathlib import Path

from fer_lightning.process.command_line import FAILED, command


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="a run folder, multirun/NAME, or multirun")
    parser.add_argument("--entity", help="user or team; default: as logged, else the login's own")
    parser.add_argument("--project", help="default: as logged")


def run(arguments):
    from fer_lightning.loggers.wandb_upload import upload

    return FAILED if upload(arguments.folder, arguments.entity, arguments.project) else None


main = command("wandb_push", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
