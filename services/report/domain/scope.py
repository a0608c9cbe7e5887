"""What is reported: which store, which days, and if wanted which terminal and opening."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from services.kernel.failure import InvalidInput
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.report.domain.daily import OpeningId

MAX_DAYS = 366
"""Longest range of a report."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where and when something belongs: one opening of one terminal. Figures are kept for each."""

    terminal_id: TerminalId
    """The terminal."""
    opening: Opening
    """The opening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A part of the trade of one store."""

    tenant_id: str
    """Owner of the store."""
    store_code: str
    """The store."""
    first: date
    """First business date."""
    last: date
    """Last business date."""
    terminal_no: int | None = None
    """Only this terminal; None for all."""
    open_counter: int | None = None
    """Only this opening; None for all."""

    def __post_init__(self) -> None:
        if not 0 <= (self.last - self.first).days < MAX_DAYS:
            raise InvalidInput(
                "PERIOD_INVALID", f"a range ends after it begins and has at most {MAX_DAYS} days",
                from_business_date=self.first, to_business_date=self.last,
            )  # fmt: skip

    @property
    def days(self) -> list[date]:
        """Its business dates."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    def covers(self, opening_id: OpeningId) -> bool:
        """Whether an opening of the store belongs to it."""
        return (
            self.first <= opening_id.opening.business_date <= self.last
            and self.terminal_no in {None, opening_id.terminal_no}
            and self.open_counter in {None, opening_id.opening.open_counter}
        )
