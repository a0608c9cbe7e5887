"""Locks a user after too many wrong passwords, for some time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_FAILURES = 5
"""Wrong passwords within the window that lock a user."""
WINDOW = timedelta(minutes=15)
"""How long a wrong password counts."""
LOCK = timedelta(minutes=15)
"""How long a user is locked. Attempts meanwhile do not make it longer, or anybody could lock a user out for good."""


@dataclass(frozen=True, slots=True)
class Failures:
    """The wrong passwords of a user that still count."""

    times: tuple[datetime, ...] = ()
    """When they came, oldest first."""
    lock_end_time: datetime | None = None
    """Until when the user is locked; None where that never was."""

    def locked(self, now: datetime) -> bool:
        """Says whether the user is locked."""
        return self.lock_end_time is not None and now < self.lock_end_time

    def and_one(self, now: datetime) -> Failures:
        """These, and one more now."""
        if self.locked(now):
            return self
        times = (*(time for time in self.times if time > now - WINDOW), now)
        return Failures(times) if len(times) < MOST_FAILURES else Failures((), now + LOCK)


NO_FAILURES = Failures()
"""Of whoever has not failed."""
