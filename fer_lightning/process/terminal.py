"""Tables on the terminal. rich is imported where it is used, so that a command can say that it is not installed."""


def console():
    """A console as wide as the terminal; a log file gets 160 columns, because rich would take 80 and cut the tables."""
    from fer_lightning.process.safe_console import SafeConsole

    screen = SafeConsole()
    return screen if screen.is_terminal else SafeConsole(width=160)


def as_table(frame, right):
    """A frame as a table of plain text. right: the columns to align to the right."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table()
    for column in frame:
        # Folded, not cut: half a number is another number.
        shown.add_column(escape(column), justify="right" if column in right else "left", overflow="fold")
    for row in frame.astype(str).values.tolist():
        shown.add_row(*map(escape, row))
    return shown
