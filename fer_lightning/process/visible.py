"""Text from elsewhere as a terminal may show it: a control character can move the cursor, set the title, or hide what follows."""

import re

# All but tab and newline, and the marks that turn the direction of text.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def visible(text):
    """A text with its control characters written out: \\x1b for ESC."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}", text)
