"""The expressions that a trained run sees in the faces of your pictures and videos, with their probabilities.

    python -m fer_lightning.predict photo.jpg                    # by the weights that come with the installation
    python -m fer_lightning.predict RUN photo.jpg FOLDER '*.png' # by a run, an export, a study (its best cell) or several (their mean)
    ls *.jpg | python -m fer_lightning.predict RUN - --csv out.csv --json out.json --draw FOLDER
    python -m fer_lightning.predict RUN clip.mp4 --every 0.5 --draw FOLDER
    python -m fer_lightning.predict RUN --camera

Faces are found in pictures larger than 64 pixels, after `pip install 'fer_lightning[photos]'`. Smaller ones, and with --no-detect all, are
faces cut out as in FER-2013, square and tight; one that is not square is cut to its middle. What cannot be read is named, the rest goes
on, and the exit code is 1. Pictures have 8 or 16 bits; one of 32 bits or of floats is refused: it does not say which number is white.
"""

import argparse
import sys
from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("names", nargs="*", metavar="RUN|PICTURE", help="first runs, exports or studies, then pictures, videos, folders, -")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row a face: picture, prediction, all probabilities, where it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same, with the pictures that have no face or an error")
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="write each picture with its faces marked, a chart of each video")
    parser.add_argument("--detect", action=argparse.BooleanOptionalAction, help="find faces in every picture; in none, each is a face")
    parser.add_argument("--margin", type=_number(-0.5, 2), help="added to a found face, as a share of it; default: framed like FER-2013")
    every = _number(0.001, 86400)
    parser.add_argument("--every", type=every, default=1.0, metavar="SECONDS", help="between frames of a video or camera; default: 1")
    parser.add_argument("--camera", type=_number(0, 99, int), nargs="?", const=0, metavar="NUMBER", help="look at a camera until Ctrl-C")


def _number(least, most, kind=float):
    def number(text):
        try:
            if least <= kind(text) <= most:
                return kind(text)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")

    return number


def run(arguments):
    from fer_lightning.photos.answers import Looking, answer
    from fer_lightning.photos.detector import MARGIN, Detector
    from fer_lightning.photos.outputs import Outputs
    from fer_lightning.photos.sources import find_files, split_names
    from fer_lightning.process.errors import UserError
    from fer_lightning.process.visible import visible
    from fer_lightning.shipping.networks import load

    folders, names = split_names(arguments.names)
    if not names and arguments.camera is None:
        raise UserError("Name a picture, a video or a folder of them, or -, or --camera. See python -m fer_lightning.predict --help")
    outputs = Outputs(csv=arguments.csv, json=arguments.json, draw=arguments.draw, inputs=names)
    margin = MARGIN if arguments.margin is None else arguments.margin
    looking = Looking(arguments.detect, margin, arguments.every, keep=arguments.draw is not None)
    if arguments.detect or (arguments.camera is not None and arguments.detect is None):
        Detector()  # says that it is not installed before anything is computed
    files, wrong = find_files(names)
    for sentence in wrong:
        print(visible(sentence), file=sys.stderr)
    if not files and arguments.camera is None:
        return 1
    network = load(folders)
    outputs.begin(network)
    for seen in answer(network, files, looking):
        outputs.add(seen)
    if arguments.camera is not None:
        outputs.watch(arguments.camera, looking)
    return outputs.end() or bool(wrong)


main = command("predict", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
