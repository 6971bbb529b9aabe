"""What all commands promise: a quick --help, one sentence for an error that the user can mend, quiet ends; and how they are called."""

import os
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest
from helpers.project import ROOT

COMMANDS = sorted(path.stem for path in (ROOT / "fer_lightning").glob("*.py") if not path.stem.startswith("__"))

# Calls the main function of a command with made-up arguments; its work is an error.
BEGUN = """
import sys
from argparse import ArgumentParser
from importlib import import_module
from fer_lightning.process.command_line import command
from fer_lightning.process.errors import UserError

def run(arguments):
    raise {error}

name = sys.argv[1]
module = import_module("fer_lightning." + name)
parser = ArgumentParser()
module.add_arguments(parser)
wanted = [action for action in parser._actions if not action.option_strings]
sys.argv = [name, *(f"made-up-{{place}}" for place, _ in enumerate(wanted))]
assert module.main.__qualname__ == "command.<locals>.main"
command(name, module.__doc__, module.add_arguments, run)()
"""


def python(*args, **options):
    """(exit code, stdout, stderr) of a process of its own."""
    done = subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True, timeout=120, **options)
    return done.returncode, done.stdout, done.stderr


def into_closed_pipe(*args):
    """(exit code, stderr) of a process whose stdout nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([sys.executable, *map(str, args)], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    finally:
        os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_imports_nothing_heavy(name):
    code = f"""
import sys
from fer_lightning.{name} import main
try:
    main(["--help"])
finally:
    heavy = {{"torch", "lightning", "pandas", "numpy", "scipy", "matplotlib", "hydra", "wandb", "PIL", "sklearn"}} & set(sys.modules)
    print(heavy or "light", file=sys.stderr)
"""
    code, out, err = python("-c", code)
    head, *rest = import_module(f"fer_lightning.{name}").__doc__.strip().splitlines()
    assert (code, err) == (0, "light\n")
    assert " ".join(head.split()) in " ".join(out.split()) and all(line in out for line in rest)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("error", "end"),
    [
        ("UserError('Such a folder there is not.')", (1, "", "Such a folder there is not.\n")),
        ("FileNotFoundError(2, 'No such file', 'made-up.csv')", (1, "", "made-up.csv: No such file.\n")),
        ("KeyboardInterrupt", (130, "", "")),
    ],
    ids=["mendable", "file", "ctrl-c"],
)
def test_it_ends_as_all_commands_end(name, error, end):
    assert python("-c", BEGUN.format(error=error), name) == end


@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_pipe_is_silent(name):
    code, err = into_closed_pipe("-m", f"fer_lightning.{name}", "--help")
    assert code in (0, 141) and err == ""  # 0 without a buffer, because argparse ignores what its writing raises
    assert into_closed_pipe("-c", BEGUN.format(error="BrokenPipeError"), name) == (141, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_arguments_are_one_sentence(name):
    code, out, err = python("-m", f"fer_lightning.{name}", "--no-such-option")
    assert (code, out) == (1, "") and err.endswith(f". See python -m fer_lightning.{name} --help\n") and err.count("\n") == 1


def test_the_screen_of_a_command_may_be_closed(tmp_path):
    (tmp_path / "study.json").write_text('{"study": {"name": "x"}, "axes": ["seed"], "jobs": [["seed=0"]]}')
    for option in ([], ["--json"]):
        code, err = into_closed_pipe("-m", "fer_lightning.status", tmp_path, *option)
        assert code and err == ""


# The program: `python -m fer_lightning`, or the installed script.


def test_a_command_is_called_by_its_name(tmp_path):
    for words in (["fer_lightning", "status"], ["fer_lightning.status"]):
        code, out, err = python("-m", *words, tmp_path / "nowhere")
        assert (code, out) == (1, "") and err.startswith("There is no folder")
    code, out, err = python("-m", "fer_lightning", "statos", cwd=tmp_path)
    assert (code, out, err) == (1, "", "There is no command statos. Did you mean status?\n")


def test_the_installed_script_is_the_program():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["scripts"] == {"fer_lightning": "fer_lightning.__main__:main"}


def test_help_lists_the_commands_and_hydras_groups():
    code = "import sys; from fer_lightning.__main__ import main; main()"
    check = "try: main()\nfinally: print({'torch', 'pandas', 'numpy'} & set(sys.modules) or 'light', file=sys.stderr)"
    code, out, err = python("-c", code.replace("main()", f"\n{check}"), "--help")
    assert (code, err) == (0, "light\n")
    for name in COMMANDS:
        assert f"{name} " in out and import_module(f"fer_lightning.{name}").__doc__.partition("\n")[0] in out
    assert "head.act: gelu" in out and "--multirun" in out


def test_the_help_of_the_program_may_be_closed():
    assert into_closed_pipe("-m", "fer_lightning", "--help") == (141, "")
