"""The program: `fer_lightning COMMAND ...` runs a command, anything else is Hydra's command line, which trains.

A process that runs a job of a sweep imports this file under another name, so nothing happens at import.
"""

import ast
import sys
from importlib import import_module
from pathlib import Path

from fer_lightning.process.command_line import naming_missing_packages, silent_pipe
from fer_lightning.process.errors import near


def commands():
    """{name: first line of its docstring} of every command, read without importing one."""
    files = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("__"))
    return {path.stem: ast.get_docstring(ast.parse(path.read_text("utf-8"))).partition("\n")[0] for path in files}


def main():
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first.isidentifier():  # an override has a = or a ~
        known = commands()
        if first not in known:
            from fer_lightning.config.typed import setting_as_command  # Hydra

            sys.exit(setting_as_command(first, sys.argv[2:]) or f"There is no command {first}. {near(first, known)}")
        import_module(f"fer_lightning.{first}").main(sys.argv[2:])
        return
    if first in ("-h", "--help"):
        with silent_pipe():
            _list(commands())
    with naming_missing_packages():
        from fer_lightning.sweep.command import main as train

    train()


def _list(commands):
    width = max(map(len, commands))
    print("Commands: fer_lightning COMMAND --help, or python -m fer_lightning.COMMAND --help\n")
    for name, line in commands.items():
        print(f"  {name:{width}}  {line}")
    print("\nWithout a command: train one job, or with --multirun a sweep.\n")


if __name__ == "__main__":
    main()
