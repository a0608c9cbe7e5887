"""How often a piece of work is tried where others keep it from passing: inside what its call has left."""

from __future__ import annotations

import random
from collections.abc import Callable

from trunkline.call import InboundCall
from trunkline.policies.deadline import hopeless

ATTEMPTS = 12
"""Times a piece of work is tried at most."""
WAIT_S = 0.005
"""Longest wait before the second attempt, in seconds; it doubles with every attempt, up to 64 times."""


class Attempts:
    """Those of one piece of work."""

    def __init__(self, call: InboundCall | None, *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        """None has been made.

        Args:
            call: Whose work it is; None: a job's, which has no deadline.
            uniform: Throws the dice for waits.
        """
        self._call = call
        self._uniform = uniform
        self._made = 0

    def next_wait_s(self) -> float | None:
        """Seconds until the next attempt after one that has failed; None where there shall be none."""
        self._made += 1
        # Full jitter: who failed together must not come back together.
        wait_s = self._uniform(0.0, WAIT_S * 2 ** min(self._made - 1, 6))
        if self._made == ATTEMPTS or self._is_hopeless(wait_s):
            return None
        return wait_s

    def _is_hopeless(self, wait_s: float) -> bool:
        call = self._call
        if call is None or call.deadline is None:
            return False
        return hopeless(call.clock.monotonic() + wait_s, call.deadline)
