"""Whether this process serves calls just now: what it does beside them is background work, and yields to them."""

from __future__ import annotations

import time
from collections.abc import Callable

RECENT_S = 1.0
"""Seconds after its beginning in which a call tells that there are calls: others will follow."""

BACKGROUND = "trunk.event.v1."
"""Package of services that are no foreground: processes that fill gaps and operators who watch a backlog ask them, and
it would yield to those who wait for its end."""


class Foreground:
    """When a call began last."""

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self._timer = timer
        self.began = float("-inf")
        """Instant of the timer; set by who serves calls."""

    def note(self) -> None:
        """A call begins, here or in another process of the service."""
        self.began = self._timer()

    def is_active(self) -> bool:
        """Whether somebody may be kept waiting."""
        return self._timer() - self.began < RECENT_S


FOREGROUND = Foreground()
"""This process's."""
