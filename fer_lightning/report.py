"""The report of a study: a ranked table on the screen; results.csv, report.md and report.html beside the run folders.

    python -m fer_lightning.report multirun/NAME
    python -m fer_lightning.report multirun/NAME --figures pdf --latex     # every figure and table as a file too, for a paper
"""

from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("folder", type=Path, help="folder of a study, such as multirun/NAME")
    parser.add_argument("--figures", choices=("pdf", "png", "svg"), help="write every figure as a file below FOLDER/figures")
    parser.add_argument("--latex", action="store_true", help="write every table as a file below FOLDER/latex")
    parser.add_argument("--no-pictures", action="store_true", help="leave images of the data out of the page, to pass it on")


def run(arguments):
    from fer_lightning.analysis.report import report

    report(arguments.folder, figures=arguments.figures, latex=arguments.latex, images=not arguments.no_pictures)


main = command("report", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
