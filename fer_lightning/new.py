"""Start a backbone of your own: a module and its config, two files that train at once.

    python -m fer_lightning.new backbone NAME [--folder FOLDER]

It writes NAME.py and my_conf/backbone/NAME.yaml into the folder, replaces nothing, and shows the command that trains it.
"""

import keyword
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError

CONFIGS = "my_conf"

MODULE = '''"""A backbone of your own. It keeps `num_features`, `input_spec` and the shapes; everything else is yours."""

from torch import nn

from fer_lightning.transforms.prepare import InputSpec


class Backbone(nn.Module):
    """Images (B, 1, 48, 48) to features (B, the last of widths). A head for the classes of the data is put on top.

    The arguments with their types are what the config may set; a wrong type or name there is refused before training.
    """

    input_spec = InputSpec()  # 48 x 48, grey, mean and deviation of FER-2013; InputSpec(size=224, channels=3, ...) for other inputs

    def __init__(self, widths: list[int] = (32, 64, 128), dropout: float = 0.0):
        super().__init__()
        layers, channels = [], self.input_spec.channels
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.num_features = channels

    def forward(self, images):
        return self.layers(images)
'''

CONFIG = """# A backbone of my own: {name}.py
_target_: {name}.Backbone
widths: [32, 64, 128]
dropout: 0.0
"""


def add_arguments(parser):
    parser.add_argument("kind", help="what to start: backbone")
    parser.add_argument("name", help="what to call it: lower-case letters, digits and _")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write; default: here")


def run(arguments):
    name, folder = arguments.name, arguments.folder
    if arguments.kind != "backbone":
        raise UserError(f"{arguments.kind} cannot be started, only a backbone: python -m fer_lightning.new backbone {name}")
    check_name(name)
    write({folder / f"{name}.py": MODULE, folder / CONFIGS / arguments.kind / f"{name}.yaml": CONFIG.format(name=name)})
    here, configs = shlex.quote(str(folder)), shlex.quote(str(folder / CONFIGS))
    print(f"\nFER_LIGHTNING_PACKAGES={name} PYTHONPATH={here} python -m fer_lightning --config-dir {configs} backbone={name}")


def check_name(name):
    """UserError for a name that Python, or the command that trains, would not find or would take for something else."""
    from fer_lightning.config.groups import CONF

    if not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", name) or keyword.iskeyword(name):
        raise UserError(f"{name} is no name for a Python module: take up to 50 lower-case letters, digits and _, such as wide_net.")
    if (CONF / "backbone" / f"{name}.yaml").exists():
        raise UserError(f"backbone={name} is there already: take another name.")
    if (found := find_spec(name)) is not None:
        raise UserError(f"A Python module {name} is there already ({found.origin or 'a folder'}): take another name.")


def write(files):
    """Write {path: text}. UserError if one of them is there, before any is written."""
    for folder in {parent for path in files for parent in path.parents}:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file: give another --folder.")
    there = [path for path in files if path.exists() or path.is_symlink()]
    if there:
        raise UserError(f"{there[0]} is there already: take another name, or another --folder.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as file:  # x: never over a file that has come meanwhile
            file.write(text)
        print(path)


main = command("new", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
