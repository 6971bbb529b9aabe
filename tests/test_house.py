"""The house: every file at the top of the package is a command, nothing imports a command, imports go down only."""

import ast

import pytest
from helpers.project import ROOT

PACKAGE = ROOT / "fer_lightning"

# Bottom to top: a room may import those before it. What a room must not import at all, at its top or inside a function, stands beside it.
ROOMS = {
    "process": (),
    "safety": ("torch", "lightning"),
    "config": ("torch", "lightning"),
    "runs": ("torch", "lightning", "hydra"),
    "figures": ("torch", "lightning", "hydra"),
    "stability": ("lightning", "hydra"),
    "data": ("hydra",),
    "transforms": ("lightning", "hydra"),
    "model": ("lightning", "hydra"),
    "optim": ("lightning", "hydra"),
    "analysis": ("torch", "lightning", "hydra"),
    "loggers": ("torch", "hydra"),
    "training": (),
    "shipping": (),
    "photos": ("torch", "lightning", "hydra"),
    "sweep": (),
}
ORDER = list(ROOMS)

COMMANDS = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))


def imported(path):
    """The modules that a file imports, wherever in it: {module: line}."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name: node.lineno for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found |= {f"{node.module}.{alias.name}": node.lineno for alias in node.names}
    return found


@pytest.mark.parametrize("room", ORDER)
def test_imports_go_down_only(room):
    wrong = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for module, line in imported(path).items():
            top, *rest = module.split(".")
            place = f"{path.relative_to(ROOT)}:{line} imports {module}"
            if top in ROOMS[room]:
                wrong.append(f"{place}, which must not come into {room}/")
            if top != "fer_lightning" or not rest or rest[0] == "__version__":
                continue
            if rest[0] not in ORDER:
                wrong.append(f"{place}, which is a command")
            elif ORDER.index(rest[0]) > ORDER.index(room):
                wrong.append(f"{place}, which is above {room}/")
    assert not wrong, "\n".join(wrong)


def test_no_command_imports_a_command():
    wrong = [
        f"{path.name}:{line} imports {module}"
        for path in PACKAGE.glob("*.py")
        for module, line in imported(path).items()
        if module.startswith("fer_lightning.") and module.split(".")[1] in COMMANDS and path.stem != "__main__"
    ]
    assert not wrong, "\n".join(wrong)


def test_every_file_at_the_top_is_a_command():
    for name in COMMANDS:
        text = (PACKAGE / f"{name}.py").read_text()
        assert f'command("{name}", __doc__' in text and "main()" in text, f"{name}.py at the top of the package is no command"


def test_every_room_is_in_the_list():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ORDER)


def test_no_test_imports_another():
    for path in (ROOT / "tests").rglob("*.py"):
        assert not [module for module in imported(path) if module.split(".")[0].startswith("test_")], path


# Called by position by somebody else: torch.multiprocessing starts it so.
BY_POSITION = {"_rank"}


def test_functions_are_short_and_their_arguments_few_or_named():
    """At most 60 lines and 8 arguments, 4 of them by position. Lightning's hooks have the arguments that Lightning gives."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("on_") and node.name not in BY_POSITION:
                by_position = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
                lines = node.end_lineno - node.lineno + 1
                if lines > 60 or len(by_position) > 4 or len(by_position) + len(node.args.kwonlyargs) > 8:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not wrong, "\n".join(wrong)
