"""Where a trained run looks: the gradient of the largest logit with respect to the pixels, for one test image per expression (S4-44).

    python -m fer_lightning.saliency RUN

Writes RUN/saliency.png: the image, its saliency map, and the map over the image at an opacity of 0.4. The images are from FER-2013 and
not for redistribution.
"""

from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("run", type=Path, help="a finished run folder")


def run(arguments):
    from fer_lightning.training.saliency_sheet import draw_sheet

    print(draw_sheet(arguments.run))


main = command("saliency", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
