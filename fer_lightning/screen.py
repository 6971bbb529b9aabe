"""The screen that tables are printed on."""

from rich.console import Console


def console():
    """A terminal as wide as it is; a log file has room for 160 columns, where rich would take 80 and cut the tables."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=160)
