"""Errors that a user can mend. The message says all: what is wrong, where, and what to do."""

import difflib


class UserError(Exception):
    """A wrong input. The command prints the message, without a stack trace, and exits with 1."""


class ConfigError(UserError):
    """A key, value or combination in the config that cannot work."""


class DataError(UserError):
    """Data that are missing, damaged or not what they claim to be. No job can run on them, so the sweep stops."""


def near(name, known):
    """A sentence that names the closest of the known names, or all of them if none is close."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(known)}."
