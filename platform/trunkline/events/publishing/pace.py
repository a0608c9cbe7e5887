"""How fast a backlog is sent: as fast as it goes, unless calls are served. Background yields to foreground. Pure.

What is sent is work for others, too: each event is a transaction's part in every group. A backlog sent at once has all
of them at work at once, beside the calls of this process. Those who wait for a backlog do not look at a clock; those
who wait for an answer do.
"""

from __future__ import annotations

BACKLOG = 64
"""Events that wait, from which on it is a backlog."""
PER_CPU_S = 35.0
"""Events of a backlog sent a second for each processor while calls are served: three groups that apply them, and the
relay, take about a tenth of it, ..."""
AHEAD = 2.0
"""... or so many times what is published meanwhile, if that is more: a backlog always becomes shorter."""
SLICE, SLICE_S = 8, 0.1
"""Events sent at once: so many, or those of so many seconds. Fewer would cost the disk more, more would be noticed."""
MEASURED_S = 1.0
"""Seconds over which is measured what is published, at least."""


class Pace:
    """The speed of one relay, from the beginning of its work or the end of an outage on.

    What was published before says nothing of what is published now.
    """

    def __init__(self, processors: int) -> None:
        self._usual = PER_CPU_S * processors
        self.per_s = self._usual
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
        self.per_s = max(self._usual, AHEAD * (newest - self._before) / passed)
        self._since, self._before = now, newest

    def slice(self, first: int, waiting: int) -> tuple[int, float]:
        """How many of some events are sent next while calls are served, and seconds to wait before.

        Args:
            first: Id of the first of them.
            waiting: How many they are.
        """
        if self._newest - first < BACKLOG:
            return waiting, 0.0
        count = min(max(SLICE, round(self.per_s * SLICE_S)), waiting)
        return count, count / self.per_s
