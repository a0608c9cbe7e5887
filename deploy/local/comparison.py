"""Whether sold, report, journal and stock are the same to the yen. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.ledger import Figures

WITNESSES = ("report", "journal", "stock")
"""Who is compared with what was sold."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, as each knows it."""

    name: str
    """What it is."""
    sold: int
    """What the tills were answered."""
    told: Mapping[str, int]
    """Witness → what it says; one that does not know the figure is missing."""

    @property
    def equal(self) -> bool:
        """Whether all who know it agree."""
        return all(value == self.sold for value in self.told.values())


def compare(sold: Figures, told: Mapping[str, Figures]) -> list[Row]:
    """All figures that were sold, and those that a witness tells although nothing was."""
    ours = sold.merged()
    theirs = {witness: figures.merged() for witness, figures in told.items()}
    names = {**ours, **{name: 0 for figures in theirs.values() for name, value in figures.items() if value}}
    return [_row(name, ours.get(name, 0), theirs) for name in names]


def _row(name: str, sold: int, theirs: Mapping[str, Mapping[str, int]]) -> Row:
    known = {witness: _knows(figures, name) for witness, figures in theirs.items()}
    return Row(name, sold, {witness: value for witness, value in known.items() if value is not None})


def _knows(figures: Mapping[str, int], name: str) -> int | None:
    if name in figures:
        return figures[name]
    # Tenders appear in a report when they are first used: one that is missing there was not used.
    kind = name.partition(":")[0]
    return 0 if any(other.partition(":")[0] == kind != other for other in figures) else None
