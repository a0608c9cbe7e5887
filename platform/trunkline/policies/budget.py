"""How many retries a target may see. Pure: the caller brings the time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class RetryBudget:
    """Retries are at most a share of the calls of the last seconds, and never fewer than a floor.

    Without it, callers that retry three times turn an outage into three times the load.
    """

    ratio: float = 0.2
    """Retries allowed for each call."""
    window_s: float = 10.0
    """Seconds over which both are counted."""
    floor_per_s: float = 1.0
    """Retries a second that are always allowed, so that a quiet caller may retry too."""
    floor_burst: float = 2.0
    """Of these, how many may come at once: a quiet caller's one call may be repeated to its third attempt."""
    _calls: deque[float] = field(default_factory=deque)
    _retries: deque[float] = field(default_factory=deque)
    _floor: float = 0.0
    _floor_at: float = -1e9

    def called(self, now: float) -> None:
        """Counts one logical call."""
        self._calls.append(now)
        self._forget(now)

    def try_spend(self, now: float) -> bool:
        """Takes one retry from the budget; False if there is none."""
        self._forget(now)
        self._floor = min(self.floor_burst, self._floor + (now - self._floor_at) * self.floor_per_s)
        self._floor_at = now
        if len(self._retries) >= self.ratio * len(self._calls) and self._floor < 1.0 - 1e-9:
            return False
        # Taken from both: together they allow the greater of the two, not their sum.
        self._floor = max(0.0, self._floor - 1.0)
        self._retries.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._calls, self._retries):
            while times and times[0] <= now - self.window_s:
                times.popleft()
