"""One finding about a study, as the screen, report.md and report.html show it."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A heading, paragraphs of plain text, and a table if there is one.

    table: as a reader sees it: percentages with two decimals, p values with three, words as column names
    """

    title: str
    text: tuple[str, ...] = ()
    table: pd.DataFrame | None = None
