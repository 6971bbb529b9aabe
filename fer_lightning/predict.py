"""The expression that a trained run sees in each picture, with its probability.

    python -m fer_lightning.predict RUN face.jpg more/*.png [--csv FILE]

Give it faces cut out as in FER-2013, square and tight: it does not search for faces. A picture that is not square is cut to its middle.
Pictures have 8 or 16 bits; one of 32 bits or of floats is refused, because it does not say which number is white.
"""

from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("pictures", type=Path, nargs="+", help="files with one face each")
    parser.add_argument("--csv", type=Path, help="write picture, prediction and all probabilities to this file")


def run(arguments):
    import numpy as np
    import pandas as pd

    from fer_lightning.data.faces import classes_of, size_of
    from fer_lightning.data.picture_file import read_picture
    from fer_lightning.process.errors import UserError
    from fer_lightning.process.files import check_writable, replace_file
    from fer_lightning.runs.finished_run import read_record
    from fer_lightning.safety.spreadsheet import to_csv
    from fer_lightning.training.inference import probabilities

    if arguments.csv:
        check_writable(arguments.csv)
    record = read_record(arguments.run) or {}
    classes, size = classes_of(record), size_of(record)
    values = probabilities(arguments.run, np.stack([read_picture(path, size) for path in arguments.pictures]))
    if not np.isfinite(values).all():
        raise UserError(f"{arguments.run} has no answer: its probabilities are NaN, because its training diverged. Name another run.")
    table = pd.DataFrame(values, columns=list(classes))
    table.insert(0, "picture", [str(path) for path in arguments.pictures])
    table.insert(1, "prediction", [classes[c] for c in values.argmax(1)])
    if arguments.csv:
        replace_file(arguments.csv, to_csv(table))
    show(table, classes)


def show(table, classes):
    """Print the two most probable classes of each picture."""
    from rich.markup import escape
    from rich.table import Table

    from fer_lightning.process.terminal import console

    shown = Table("picture", "prediction", "probability", "second", "probability")
    for row in table.to_dict("records"):
        first, second = sorted(classes, key=lambda name: -row[name])[:2]
        shown.add_row(escape(row["picture"]), first, f"{row[first]:.3f}", second, f"{row[second]:.3f}")
    console().print(shown)


main = command("predict", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
