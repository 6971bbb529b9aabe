"""A console on which foreign texts cannot act: their control characters are written out."""

from rich.console import Console
from rich.segment import Segment

from fer_lightning.process.visible import visible


class SafeConsole(Console):
    """Writes control characters in texts out; its own are no texts."""

    def render(self, renderable, options=None):
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self):
        raise  # to `silent_pipe`, as from any print; rich would exit with 1
