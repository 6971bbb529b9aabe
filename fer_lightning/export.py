"""A finished run as files for other programs: ONNX, ONNX in int8, safetensors, and a card with what each form takes and scores.

    python -m fer_lightning.export RUN [FOLDER] [--no-int8] [--page demo.html]

The files take grey faces, (B, 1, 48, 48) uint8, and give probabilities: nothing is left to do around them. The ONNX file is checked
against torch. Int8 is calibrated on images of the training part, so it needs the data of the run. A page runs the network in a browser, on
a photo or the camera; it needs a file that `npm pack onnxruntime-web@1.30.0` fetches once. All need `pip install fer_lightning[export]`.
"""

from pathlib import Path

from fer_lightning.process.command_line import command


def add_arguments(parser):
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("folder", type=Path, nargs="?", help="where to write; default: RUN/export")
    parser.add_argument("--no-int8", action="store_true", help="leave out int8, which needs the data")
    parser.add_argument("--page", type=Path, metavar="FILE", help="also write one HTML page that runs the network in a browser")
    parser.add_argument("--runtime", type=Path, metavar="FILE", help="where onnxruntime-web is; default: as npm pack leaves it here")


def run(arguments):
    from fer_lightning.process.errors import UserError

    try:
        import onnxruntime  # noqa: F401  (before anything is computed)
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'fer_lightning[export]'") from error

    from rich.table import Table

    from fer_lightning.process.terminal import console
    from fer_lightning.shipping.export_run import export

    folder = arguments.folder or arguments.run / "export"
    rows = export(arguments.run, folder, int8=not arguments.no_int8, page=arguments.page, runtime=arguments.runtime)
    shown = Table(*rows[0])
    for row in rows:
        shown.add_row(*row.values())
    console().print(shown)
    print(folder, *[arguments.page] * bool(arguments.page), sep="\n")


main = command("export", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
