"""How fast a backlog is sent: as fast as it goes, unless calls are served. Background yields to foreground. Pure.

What is sent is work for others, too: each event is a transaction's part in every group. A backlog sent at once has all
of them at work at once, beside the calls of this process. Those who wait for a backlog do not look at a clock; those
who wait for an answer do.
"""

from __future__ import annotations

BACKLOG = 64
"""Events that wait, from which on it is a backlog."""
SLICE = 32
"""Events of a backlog sent at once while calls are served."""
PER_S = 200.0
"""Events of a backlog sent a second while calls are served, ..."""
AHEAD = 2.0
"""... or so many times what is published meanwhile, if that is more: a backlog always becomes shorter."""
MEASURED_S = 1.0
"""Seconds over which is measured what is published, at least ..."""
FORGOTTEN_S = 3.0
"""... and at most."""


class Pace:
    """The speed of one relay."""

    def __init__(self) -> None:
        self.per_s = PER_S
        """Events of a backlog sent a second while calls are served, now."""
        self._newest, self._before = 0, 0
        self._since = float("-inf")

    def note(self, newest: int, now: float) -> None:
        """Learns how much is published.

        Args:
            newest: Id of the newest event: ids grow by one with each.
            now: Instant of a monotonic clock.
        """
        self._newest = newest
        passed = now - self._since
        if passed < MEASURED_S:
            return
        # What was published while nobody looked, as in an outage, says nothing of what is published now.
        looked = passed < FORGOTTEN_S
        self.per_s = max(PER_S, AHEAD * (newest - self._before) / passed) if looked else PER_S
        self._since, self._before = now, newest

    def slice(self, first: int, waiting: int) -> tuple[int, float]:
        """How many of some events are sent next while calls are served, and seconds to wait before.

        Args:
            first: Id of the first of them.
            waiting: How many they are.
        """
        if self._newest - first < BACKLOG:
            return waiting, 0.0
        return min(SLICE, waiting), SLICE / self.per_s
