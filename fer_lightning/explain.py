"""Why a trained run decides as it does: saliency, Grad-CAM and attention rollout, on test images or on your own pictures.

    python -m fer_lightning.explain RUN                    # or a study, multirun/NAME: the best run of its best cell by validation
    python -m fer_lightning.explain RUN face.jpg --out FOLDER

Without pictures it writes explain.png: an image of each class that the run gets clearly right, the mean maps of each class, and an image
of each of the most frequent mistakes. These images are from FER-2013, if the run saw it, and not for redistribution. With pictures it
writes explain_pictures.png. Pictures are faces cut out as in FER-2013, as `predict` takes them. Grad-CAM needs `pip install
fer_lightning[explain]`.
"""

from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("run", type=Path, help="a finished run folder, or a study")
    parser.add_argument("pictures", type=Path, nargs="*", metavar="PICTURE", help="files with one face each, instead of test images")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write; default: the run folder")


def run(arguments):
    from fer_lightning.process.errors import UserError

    try:
        import captum  # noqa: F401  (before anything is computed)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'fer_lightning[explain]'") from error

    from fer_lightning.analysis.best_run import best_run
    from fer_lightning.training.explanation_sheet import draw_pictures, draw_test_images

    folder, why = best_run(arguments.run)
    if why:
        print(why)
    if arguments.pictures:
        path, notes = draw_pictures(folder, arguments.pictures, arguments.out)
    else:
        path, notes = draw_test_images(folder, arguments.out)
    print(*notes, path, sep="\n")


main = command("explain", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
