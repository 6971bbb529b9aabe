"""Tables as CSV that is safe in a spreadsheet: text that would be run as a formula gets an apostrophe in front."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(frame):
    """A frame as CSV without its index. Numbers stay numbers, even if they are stored as text."""
    texts = frame.select_dtypes(exclude=["number", "bool"]).columns
    safe = frame.assign(**{str(column): frame[column].map(_harmless) for column in texts})
    return safe.rename(columns=_harmless).to_csv(index=False)


def _harmless(value):
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) and not _is_number(value) else value


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
