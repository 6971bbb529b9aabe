"""How figures look, on the page and in files: colours that people with any colour vision can tell apart, each with a marker."""

# Okabe and Ito (2008), without black and yellow, which vanish on a dark and on a white page, and their blue a little lighter.
COLOURS = ("#1A80C2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")

# plotly's and matplotlib's names of the same markers, one a colour.
MARKERS = {
    "plotly": ("circle", "square", "diamond", "triangle-up", "x", "triangle-down", "star"),
    "matplotlib": ("o", "s", "D", "^", "X", "v", "*"),
}
DASHES = {"plotly": ("solid", "dash", "dot", "dashdot"), "matplotlib": ("-", "--", ":", "-.")}


def look(number, library):
    """(colour, marker, dash) of series `number`; 7 colours and 4 dashes tell 28 apart."""
    return (
        COLOURS[number % len(COLOURS)],
        MARKERS[library][number % len(COLOURS)],
        DASHES[library][number // len(COLOURS) % len(DASHES[library])],
    )
