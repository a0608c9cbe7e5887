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
    _calls: deque[float] = field(default_factory=deque)
    _retries: deque[float] = field(default_factory=deque)

    def called(self, now: float) -> None:
        """Counts one logical call."""
        self._calls.append(now)
        self._forget(now)

    def try_spend(self, now: float) -> bool:
        """Takes one retry from the budget; False if there is none."""
        self._forget(now)
        allowed = max(self.ratio * len(self._calls), self.floor_per_s * self.window_s)
        # The floor is a rate: it must not be spent at once.
        recent = sum(1 for spent in self._retries if spent > now - 1.0)
        if len(self._retries) >= allowed or (
            len(self._retries) >= self.ratio * len(self._calls) and recent >= self.floor_per_s
        ):
            return False
        self._retries.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._calls, self._retries):
            while times and times[0] <= now - self.window_s:
                times.popleft()
