"""What a report says, in the form in which the screen, report.md and report.html all show it."""

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A heading, paragraphs of plain text, and a table if there is one.

    table: as a reader sees it: percentages with two decimals, p values with three, full words as column names
    """

    title: str
    text: tuple[str, ...] = ()
    table: pd.DataFrame | None = None


class Verdict(NamedTuple):
    """The one conclusion of a study.

    word:       synergy, additive or inconclusive; None if the study has no two crossed axes, and so no interaction to judge
    conclusion: one plain sentence: what a reader may conclude
    seen:       the numbers that it rests on
    settle:     what would settle the question, if it is open
    """

    word: str | None
    conclusion: str
    seen: str = ""
    settle: str = ""

    @property
    def paragraph(self):
        return " ".join(filter(None, (self.conclusion, self.seen, self.settle)))
