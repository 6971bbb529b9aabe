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
    parser.add_argument("--csv", type=Path, help="write picture, prediction and all seven probabilities to this file")


def run(arguments):
    import numpy as np
    import pandas as pd

    from fer_lightning.data.faces import CLASSES
    from fer_lightning.data.picture_file import read_picture
    from fer_lightning.process.errors import UserError
    from fer_lightning.process.files import check_writable, replace_file
    from fer_lightning.safety.spreadsheet import to_csv
    from fer_lightning.training.inference import probabilities

    if arguments.csv:
        check_writable(arguments.csv)
    values = probabilities(arguments.run, np.stack([read_picture(path) for path in arguments.pictures]))
    if not np.isfinite(values).all():
        raise UserError(f"{arguments.run} has no answer: its probabilities are NaN, because its training diverged. Name another run.")
    table = pd.DataFrame(values, columns=list(CLASSES))
    table.insert(0, "picture", [str(path) for path in arguments.pictures])
    table.insert(1, "prediction", [CLASSES[c] for c in values.argmax(1)])
    if arguments.csv:
        replace_file(arguments.csv, to_csv(table))
    show(table, CLASSES)


def show(table, classes):
    """Print the two most probable classes of each picture."""
    from rich.markup import escape
    from rich.table import Table

    from fer_lightning.process.terminal import console

    shown = Table("picture", "prediction", "probability", "second", "probability")
    for row in table.itertuples(index=False):
        first, second = sorted(classes, key=lambda name: -getattr(row, name))[:2]
        shown.add_row(escape(row.picture), first, f"{getattr(row, first):.3f}", second, f"{getattr(row, second):.3f}")
    console().print(shown)


main = command("predict", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
