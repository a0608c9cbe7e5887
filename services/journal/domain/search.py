"""What is looked for in the journal. Each bound is optional on its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar

from services.journal.domain.entry import EntryKind

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Bounds(Generic[V]):
    """A range, both ends included. What has no value is in no range that has a bound."""

    first: V | None = None
    """Lowest; None for no bound."""
    last: V | None = None
    """Highest; None for no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which entries of a store."""

    tenant_id: str
    """Owner of the store."""
    store_code: str
    """The store."""
    terminal_nos: tuple[int, ...] = ()
    """Only these terminals; empty for all."""
    kinds: tuple[EntryKind, ...] = ()
    """Only these kinds; empty for all."""
    business_dates: Bounds[date] = Bounds()
    """Trading days."""
    transaction_nos: Bounds[int] = Bounds()
    """Transaction numbers."""
    receipt_nos: Bounds[int] = Bounds()
    """Receipt numbers."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a list stands: it goes from the newest entry to the oldest."""

    create_time: datetime
    """When the entry was made."""
    number: int
    """Number of its event: order within one instant."""
    entry_id: str
    """Its id: no two entries stand at the same place."""
