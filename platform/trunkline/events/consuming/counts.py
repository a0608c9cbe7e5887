"""What a consumer has done, for metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer has done since it started."""

    applied: int = 0
    """Events that had their effect."""
    filled: int = 0
    """Of these, those that were passed over before."""
    duplicates: int = 0
    """Events that had had it before."""
    parked: int = 0
    """Times an event was parked: before its turn, or after a failed attempt."""
    dead: int = 0
    """Events that became dead letters."""
    holes: int = 0
    """Numbers that were passed over."""
    redelivered: int = 0
    """Entries that had been given to this group before, and were not acknowledged."""
    gone: int = 0
    """Entries that were taken out of their stream before they were applied."""
