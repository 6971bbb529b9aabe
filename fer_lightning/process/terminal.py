"""Tables on the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from fer_lightning.process.visible import visible


class _Console(Console):
    """Writes control characters in texts out; its own are no texts."""

    def render(self, renderable, options=None):
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def console():
    """A console as wide as the terminal; a log file gets 160 columns, because rich would take 80 and cut the tables."""
    screen = _Console()
    return screen if screen.is_terminal else _Console(width=160)


def as_table(frame, right):
    """A frame as a table of plain text. right: the columns to align to the right."""
    shown = Table()
    for column in frame:
        # Folded, not cut: half a number is another number.
        shown.add_column(escape(column), justify="right" if column in right else "left", overflow="fold")
    for row in frame.astype(str).values.tolist():
        shown.add_row(*map(escape, row))
    return shown
