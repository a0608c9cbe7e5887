"""How long a method's answers take, lately. Pure, and without dice: the same observations give the same answer."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

KEPT = 100
"""Observations that are looked at; an older one counts for nothing."""
ENOUGH = 20
"""Observations below which a quantile says nothing: one in twenty is slower than the 95th percentile."""
SORTED_EVERY = 10
"""Observations after which they are sorted again: a quantile may be so many behind."""


@dataclass(slots=True)
class LatencyWindow:
    """The times that the last hundred attempts took."""

    _last: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _unsorted: int = 0
    _sorted: list[float] = field(default_factory=list)

    def observe(self, seconds: float) -> None:
        """Notes the time of an attempt that was answered.

        The one that was cancelled for another's answer is noted too, with the time it had taken by then. Without
        the slow ones the quantile would sink with every hedge, and more and more calls would be hedged.
        """
        self._last.append(seconds)
        self._unsorted += 1

    def quantile(self, q: float) -> float | None:
        """Seconds that a share q of the attempts did not exceed (nearest rank); None until enough were seen."""
        if len(self._last) < ENOUGH:
            return None
        if self._unsorted >= SORTED_EVERY:
            self._sorted, self._unsorted = sorted(self._last), 0
        rank = math.ceil(q * len(self._sorted) - 1e-9)
        return self._sorted[max(rank, 1) - 1]
