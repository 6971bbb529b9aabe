"""One finding about a study, as the report on the screen, report.md and report.html all show it."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A heading, paragraphs of plain text, and a table where there is one.

    table: what a reader sees: percentages with two decimals, p values with three, whole words for column names
    """

    title: str
    text: tuple[str, ...] = ()
    table: pd.DataFrame | None = None
