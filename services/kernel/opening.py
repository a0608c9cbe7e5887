"""An opening of a terminal: the span between open and close that sales belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """One opening of one terminal."""

    business_date: date
    """Trading day of the opening."""
    open_counter: int
    """Opening of the terminal on that date, from 1."""
    business_counter: int
    """Opening of the terminal ever, from 1; never reset."""
