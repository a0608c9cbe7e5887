"""How many retries a target may see. Pure: the caller brings the time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from trunkline.policies.window import CountWindow

_ROUNDING = 1e-9


@dataclass(slots=True, weakref_slot=True)
class RetryBudget:
    """Retries are at most a share of the calls of the last seconds, and never fewer than a floor.

    Without it, callers that retry three times turn an outage into three times the load.
    Hedges are paid from it too. Time is counted in tenths of the window, so that a call costs the same at any rate:
    calls are forgotten up to a tenth too early and retries up to a tenth too late. That rounding never allows more.
    """

    ratio: float = 0.2
    """Retries allowed for each call."""
    window_s: float = 10.0
    """Seconds over which both are counted."""
    floor_per_s: float = 1.0
    """Retries a second that are always allowed, so that a quiet caller may retry too."""
    floor_burst: float = 2.0
    """Of these, how many may come at once: a quiet caller's one call may be repeated to its third attempt."""
    _calls: CountWindow = field(init=False)
    _retries: CountWindow = field(init=False)
    _floor: float = field(init=False)
    _floor_at: float = field(default=math.inf, init=False)

    def __post_init__(self) -> None:
        self._calls = CountWindow(self.window_s)
        self._retries = CountWindow(self.window_s)
        self._floor = self.floor_burst

    def called(self, now: float) -> None:
        """Counts one logical call."""
        self._calls.add(now)

    def try_spend(self, now: float) -> bool:
        """Takes one retry from the budget; False if there is none."""
        if self.available(now) < 1.0 - _ROUNDING:
            return False
        # Taken from both: at any moment they allow the greater of the two, not their sum.
        self._floor = max(0.0, self._floor_left(now) - 1.0)
        self._floor_at = now
        self._retries.add(now)
        return True

    def available(self, now: float) -> float:
        """Retries that would be granted at once; less than 1: none is, for now."""
        share = math.ceil(self.ratio * self.calls(now) - self.retries(now) - _ROUNDING)
        return max(float(share), self._floor_left(now))

    def calls(self, now: float) -> int:
        """Calls that the share is reckoned from: those of the last nine to ten tenths of the window."""
        return self._calls.at_least(now)

    def retries(self, now: float) -> int:
        """Retries that weigh on the share: those of the last ten to eleven tenths of the window."""
        return self._retries.at_most(now)

    def _floor_left(self, now: float) -> float:
        return min(self.floor_burst, self._floor + max(0.0, now - self._floor_at) * self.floor_per_s)
