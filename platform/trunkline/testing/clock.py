"""A clock that moves only when told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When a fake clock begins, unless told otherwise."""


class FakeClock:
    """Time for tests: stands still until advanced."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0

    def monotonic(self) -> float:
        """Seconds since a thousand seconds before it was made."""
        return self._monotonic

    def now(self) -> datetime:
        """The instant it stands at."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves both times on."""
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)

    def set_ahead(self, seconds: float) -> None:
        """Sets the time that is written down, as who sets a machine's clock does; what is measured with stays."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Waits in no time: moves both times on at once. For whatever takes a `sleep`: a FaultPlan, a Peer."""
        self.advance(seconds)
        await asyncio.sleep(0)
