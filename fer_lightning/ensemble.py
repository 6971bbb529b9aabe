"""An ensemble of finished runs, from their predictions, as a run folder of its own that `report` and `compare` take like any other.

    python -m fer_lightning.ensemble RUN RUN ... [--average probabilities|logits] [--out FOLDER]
    python -m fer_lightning.ensemble multirun/NAME --cell head.act=gelu head.norm=bn

Name the members beforehand: each by its folder, or all of a study or a cell at once. No score chooses among them.
"""

from pathlib import Path

from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError


def add_arguments(parser):
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished run folders, or a study for all of its runs")
    parser.add_argument("--cell", nargs="+", metavar="KEY=VALUE", default=[], help="of the studies, only the runs of this cell")
    parser.add_argument("--average", choices=("probabilities", "logits"), default="probabilities", help="what is averaged")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder to write, by default one below outputs/ensembles/")


def run(arguments):
    from fer_lightning.training.ensembling import ensemble, members, show

    show(*ensemble(members(arguments.runs, _cell(arguments.cell)), arguments.average, arguments.out))


def _cell(texts):
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals or [other for other, _, _ in pairs].count(key) > 1:
            raise UserError(f"--cell {' '.join(texts)}: give each key once, as KEY=VALUE, such as head.act=gelu.")
    return {key: value for key, _, value in pairs}


main = command("ensemble", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
