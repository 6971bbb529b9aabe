"""Where a study stands, from its files, while it runs: what is done, running, silent, failed, to do, and how long the rest takes.

    python -m fer_lightning.status multirun/NAME              # a study; multirun: a line for each study in it; or one run folder
    python -m fer_lightning.status multirun/NAME --watch      # every 2 seconds, until all jobs are over
    python -m fer_lightning.status multirun/NAME --json       # the same for scripts
"""

import argparse
import time
from pathlib import Path

from fer_lightning.process.command_line import command
from fer_lightning.process.terminal import console


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME, of several studies, or of one run")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", type=_seconds, nargs="?", const=2.0, metavar="SECONDS", help="show it every 2 seconds until all is over")
    how.add_argument("--json", action="store_true", help="print it for scripts")


def _seconds(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0. The folder comes before --watch.")
    return seconds


def run(arguments):
    from fer_lightning.runs.progress_screen import as_screen, watch
    from fer_lightning.runs.study_progress import as_json, read_studies

    folder, now = arguments.folder.absolute(), time.time()
    if arguments.watch:
        watch(folder, arguments.watch)
    elif arguments.json:
        print(as_json(read_studies(folder, now), now))
    else:
        console().print(as_screen(folder, read_studies(folder, now), now))


main = command("status", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
