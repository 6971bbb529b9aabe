"""What copy of FER-2013 is this? Its counts, twins within and across the splits, blank images, padded classes.

    python -m fer_lightning.audit data                                          # near twins take a minute, the first time
    python -m fer_lightning.audit data --no-near                                # identical twins only: seconds
    python -m fer_lightning.audit data --json audit.json --sheet audit.png      # the rows of all that was found; examples as an image
"""

import json
from pathlib import Path

from fer_lightning.process.command_line import command
from fer_lightning.process.files import check_writable, replace_file
from fer_lightning.process.terminal import console


def add_arguments(parser):
    parser.add_argument("folder", help="where a copy of FER-2013 is, in any layout")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--near", type=float, default=0.94, metavar="SIMILARITY", help="near twins have this or more (default: %(default)s)")
    how.add_argument("--no-near", dest="near", action="store_const", const=None, help="look for identical images only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all findings, with the rows")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a PNG with examples")


def run(arguments):
    from fer_lightning.data import fer2013
    from fer_lightning.data.audit import audit
    from fer_lightning.data.audit_tables import show
    from fer_lightning.runs.ownership import check_output

    if arguments.json:
        check_output(arguments.json, r'\{\s*"source": ')
    if arguments.sheet:
        check_writable(arguments.sheet)
    faces = fer2013.read(arguments.folder, accept_modified=True)
    with console().status("Reading every image" if arguments.near is None else "Searching near twins, a minute the first time"):
        findings = audit(faces, arguments.near)
    show(findings)
    if arguments.json:
        replace_file(arguments.json, json.dumps(findings, allow_nan=False) + "\n")
    if arguments.sheet:
        from fer_lightning.data.audit_sheet import draw  # matplotlib

        draw(faces, findings, arguments.sheet)


main = command("audit", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
