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
SET_S = 20.0
"""A change of the time ahead beyond this, in seconds, is no drift: the clock was set, or the machine slept. It is less
than the 30 s for which tokens are let in before and after their time."""


def ahead_s(clock: Clock) -> float:
    """How far the time that is written down is ahead of the one that is measured with, in seconds.

    It changes when the clock is set, and when the machine wakes up after a sleep: what is measured stood still then.
    """
    return clock.now().timestamp() - clock.monotonic()
