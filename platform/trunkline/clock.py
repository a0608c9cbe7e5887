"""Where time comes from. Everything that measures or stamps takes a Clock, so that tests can hold it still."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two times: one to measure with, one to write down."""

    def monotonic(self) -> float:
        """Seconds from an unknown start; never goes back."""
        ...

    def now(self) -> datetime:
        """The instant it is, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    # Python's own function: every call asks several times what time it is.
    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        """The instant it is, aware, in UTC."""
        return datetime.now(UTC)


SYSTEM_CLOCK = SystemClock()
"""The clock of every process outside tests."""
