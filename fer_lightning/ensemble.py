"""An ensemble of finished runs, from their predictions, as a run folder of its own that `report` and `compare` take like any other.

    python -m fer_lightning.ensemble RUN RUN ... [--average probabilities|logits] [--out FOLDER]
    python -m fer_lightning.ensemble multirun/NAME --cell head.act=gelu head.norm=bn

If every member was evaluated on several views of each image (evaluation=ten_crop), so is the ensemble.
Name the members beforehand: each by its folder, or all of a study or a cell at once. No score chooses among them.
"""

from pathlib import Path
from statistics import fmean

from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError


def add_arguments(parser):
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="finished run folders, or a study for all of its runs")
    parser.add_argument("--cell", nargs="+", metavar="KEY=VALUE", default=[], help="of the studies, only the runs of this cell")
    parser.add_argument("--average", choices=("probabilities", "logits"), default="probabilities", help="what is averaged")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the run folder to write, by default one below outputs/ensembles/")


def run(arguments):
    from fer_lightning.training.ensembling import ensemble, members

    show(*ensemble(members(arguments.runs, _cell(arguments.cell)), arguments.average, arguments.out))


def _cell(texts):
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals or [other for other, _, _ in pairs].count(key) > 1:
            raise UserError(f"--cell {' '.join(texts)}: give each key once, as KEY=VALUE, such as head.act=gelu.")
    return {key: value for key, _, value in pairs}


def show(out, result):
    """Print what the ensemble gained."""
    from rich.markup import escape
    from rich.table import Table

    from fer_lightning.process.terminal import console
    from fer_lightning.runs.finished_run import CLEAN_UNKNOWN

    folders = [Path(member["folder"]).absolute() for member in result["members"]]
    names = [folder.name for folder in folders]
    names = names if len(set(names)) == len(names) else [f"{folder.parent.name}/{folder.name}" for folder in folders]
    screen = console()
    screen.rule(f"{len(names)} runs, mean of their {result['average']}")
    table = Table("part", "images", "ensemble %", "clean %", "members' mean %", "best", "worst", "gain, 95 % interval", "without one")
    for part, entry in result["gain"].items():
        best, worst = (f"{100 * accuracy:.2f} {name}" for accuracy, name in (choose(zip(entry["members"], names)) for choose in (max, min)))
        clean = entry.get("clean")
        table.add_row(
            part.replace("_", ", ", 1).replace("_", " "),
            f"{entry['n']:,}",
            f"{100 * entry['accuracy']:.2f}",
            "" if clean is None else f"{100 * clean:.2f}",
            f"{100 * fmean(entry['members']):.2f}",
            escape(best),
            escape(worst),
            f"{100 * entry['gain']:+.2f} ({100 * entry['low']:+.2f} to {100 * entry['high']:+.2f})",
            f"{100 * min(entry['without']):.2f} to {100 * max(entry['without']):.2f}",
        )
    screen.print(table)
    texts = [
        f"Members: {', '.join(names)}.",
        "The gain is over the members' mean. Its interval is a bootstrap over images: it says nothing of other trainings of the members.",
        "Best, worst and the accuracies without one member show how much depends on one. To choose members by them would be selection on "
        "the part that they are of.",
    ]
    if "test" in result["gain"] and result["metrics"]["test"]["n_clean"] is None:
        texts.append(CLEAN_UNKNOWN)
    for text in [*texts, f"Run folder: {out}"]:
        screen.print(text, markup=False, highlight=False, soft_wrap=True)


main = command("ensemble", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
