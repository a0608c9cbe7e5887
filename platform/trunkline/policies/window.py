"""How often something happened in the last seconds, in constant memory. Pure: the caller brings the time."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

TENTHS = 10
"""Parts a window is counted in."""


@dataclass(slots=True)
class CountWindow:
    """Counts what happened in the last seconds.

    It keeps no instants, only the total at each border of a tenth of the window: adding costs the same at any
    rate. What happened in one tenth is forgotten together, so it knows two bounds of the exact count.
    """

    window_s: float
    """Seconds that are looked back."""
    _total: int = 0
    _tenth: int = 0
    _ends_at: float = -math.inf
    _totals: deque[int] = field(default_factory=lambda: deque([0] * (TENTHS + 1), TENTHS + 1))

    def add(self, now: float) -> None:
        """Counts one."""
        if now >= self._ends_at:
            self._turn(now)
        self._total += 1

    def at_least(self, now: float) -> int:
        """How many in the running tenth and the nine before it: never more than in the last `window_s` seconds."""
        if now >= self._ends_at:
            self._turn(now)
        return self._total - self._totals[1]

    def at_most(self, now: float) -> int:
        """How many in the running tenth and the ten before it: never fewer than in the last `window_s` seconds."""
        if now >= self._ends_at:
            self._turn(now)
        return self._total - self._totals[0]

    def _turn(self, now: float) -> None:
        width_s = self.window_s / TENTHS
        tenth = int(now // width_s)
        for _ in range(min(tenth - self._tenth, TENTHS + 1)):
            self._totals.append(self._total)
        self._tenth = tenth
        self._ends_at = (tenth + 1) * width_s
