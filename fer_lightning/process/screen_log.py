"""The lines of the log on the screen."""

import logging
import shutil
import sys
import textwrap

INDENT = " " * 10  # below the message, beside its time


class ScreenHandler(logging.StreamHandler):
    """Writes to what sys.stdout is now, because a progress bar replaces it to keep the lines above itself; breaks lines between words."""

    def emit(self, record):
        self.stream = sys.stdout
        super().emit(record)

    def format(self, record):
        text = super().format(record)
        if not self.stream.isatty():
            return text
        width = shutil.get_terminal_size().columns
        return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line, width):
    """A line in parts no wider than the screen. A word that is wider, such as a path, stays whole to be copied."""
    keep = {"break_long_words": False, "break_on_hyphens": False, "replace_whitespace": False, "drop_whitespace": True}
    return line if len(line) <= width else textwrap.fill(line, width, subsequent_indent=INDENT, **keep)
