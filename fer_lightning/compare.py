"""Two finished runs side by side: their scores, the test of their difference on the same images, what changed, how they were made.

    python -m fer_lightning.compare RUN RUN [--split val|test] [--json FILE] [--csv FILE]
"""

import json
from pathlib import Path

from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError
from fer_lightning.process.files import replace_file


def add_arguments(parser):
    parser.add_argument("a", type=Path, metavar="RUN", help="a finished run folder")
    parser.add_argument("b", type=Path, metavar="RUN", help="another one; differences are the second minus the first")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="the part whose images are paired")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the images that the two put into different classes")


def run(arguments):
    from fer_lightning.analysis.comparison import changed_images, compare_runs
    from fer_lightning.analysis.comparison_findings import comparison_findings, show_findings
    from fer_lightning.runs.finished_run import read_run
    from fer_lightning.runs.ownership import check_output
    from fer_lightning.safety.spreadsheet import to_csv

    if arguments.a.resolve() == arguments.b.resolve():
        raise UserError(f"{arguments.a} is named twice: name two runs.")
    if arguments.json:
        check_output(arguments.json, r'\{\s*"a": \{\s*"folder": ')
    if arguments.csv:
        check_output(arguments.csv, "row,split,label,prediction_a,")
    a, b = read_run(arguments.a), read_run(arguments.b)
    comparison = compare_runs(a, b, arguments.split)
    show_findings(comparison_findings(comparison))
    if arguments.json:
        replace_file(arguments.json, json.dumps(comparison, indent=1, allow_nan=False) + "\n")
    if arguments.csv:
        if comparison["refused"]:
            raise UserError(f"{arguments.csv} is not written: the two runs cannot be paired.")
        replace_file(arguments.csv, to_csv(changed_images(a, b, arguments.split)))


main = command("compare", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
