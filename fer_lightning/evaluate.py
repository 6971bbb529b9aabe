"""The scores of a finished run on other data: another data set, or another part of its own.

    python -m fer_lightning.evaluate RUN on=image_folder on.root=FOLDER
    python -m fer_lightning.evaluate multirun/NAME on=fer2013 'labels={fear: null, disgust: null}'
    python -m fer_lightning.evaluate RUN --part val

on=NAME and on.KEY=VALUE are the settings data=NAME and data.KEY=VALUE of a training; without them the data are the run's own. Where
classes differ, labels says what each class of the data is to the run; null leaves it out. Writes evaluation-ID.json into the run folder,
which the report of its study shows.
"""

import re
from functools import cache
from pathlib import Path

from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError

SETTING = re.compile(r"(on|on\.[\w.]+|labels)=", re.DOTALL)
# In a sentence about the settings of a training: what was typed here.
AS_TYPED = re.compile(r"(?<![\w./-])data(?==|\.[a-z_]+\b)")


def add_arguments(parser):
    parser.add_argument("words", nargs="+", metavar="RUN|on=DATA|on.KEY=VALUE|labels={...}", help="runs, or studies for all of their runs")
    parser.add_argument("--part", choices=("train", "val", "test", "all"), help="default: test, or all if the data have no test part")


def run(arguments):
    from fer_lightning.config.error_messages import explain
    from fer_lightning.data.faces import size_of
    from fer_lightning.runs.finished_run import read_record
    from fer_lightning.training.on_other_data import evaluate_on, read_data, read_labels

    settings = [word for word in arguments.words if SETTING.match(word)]
    folders = _runs([Path(word) for word in arguments.words if not SETTING.match(word)])
    words = [re.sub("^on", "data", word) for word in settings if word.startswith("on")]
    read = cache(lambda size: read_data(words, size) if words else None)
    try:
        *_, labels = [None, *(read_labels(word) for word in settings if word.startswith("labels="))]
        found = [(run, *evaluate_on(run, read(size_of(read_record(run) or {})), labels, arguments.part)) for run in folders]
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        raise UserError(AS_TYPED.sub("on", sentence)) from error
    show(found)


def _runs(paths):
    """The run folders named, those of studies that are done included. UserError if there is none."""
    from fer_lightning.runs.finished_run import read_record
    from fer_lightning.runs.layout import RESULT, run_folders

    found = []
    for path in paths:
        below = [] if (path / RESULT).exists() else run_folders(path)
        done = [folder for folder in below if (read_record(folder) or {}).get("status") == "done"]
        if below and not done:
            raise UserError(f"{path} has no finished run.")
        if len(done) < len(below):
            print(f"Left out, because not done: {', '.join(folder.name for folder in below if folder not in done)}")
        found += done or [path]
    if not found:
        raise UserError("Name a run, or a study for all of its runs.")
    return found


def show(found):
    """Print the scores with their intervals, and for a single run those of each class."""
    from rich.markup import escape
    from rich.table import Table

    from fer_lightning.process.terminal import console

    screen = console()
    data = found[0][1]["data"]
    screen.rule(escape(f"{data['source']}, {data['part']}"))
    table = Table("run", "images", "accuracy %", "clean %", "macro F1 %")
    for folder, record, _ in found:
        metrics = record["metrics"]
        scores = (_with_interval(record, name) for name in ("accuracy", "accuracy_clean", "macro_f1"))
        table.add_row(escape(folder.absolute().name), f"{metrics['n']:,}", *scores)
    screen.print(table)
    if len(found) == 1:
        classes = Table("class", "images", "recall %", "precision %", "F1 %")
        for name, values in found[0][1]["metrics"]["per_class"].items():
            classes.add_row(name, f"{values['support']:,}", *(f"{100 * values[key]:.2f}" for key in ("recall", "precision", "f1")))
        screen.print(classes)
    texts = ["In brackets: 95 % intervals over images."]
    if found[0][1]["metrics"]["n_clean"] is not None:
        texts.append("Clean leaves out images with an identical twin among those that the run trained or selected on.")
    for text in [" ".join(texts), *(f"Record: {path}" for *_, path in found)]:
        screen.print(text, markup=False, highlight=False, soft_wrap=True)


def _with_interval(record, name):
    value = record["metrics"].get(name)
    if value is None:
        return ""
    low_high = record["intervals"].get(name)
    return f"{100 * value:.2f}" + (f" ({100 * low_high[0]:.2f} to {100 * low_high[1]:.2f})" if low_high else "")


main = command("evaluate", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
