"""How late the event loop is, and where it stands when it stands still.

A handler that computes or waits without `await` holds up every call of its process. No call can
tell of it; a thread can.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import structlog

from trunkline.telemetry.metrics import METRICS, Metrics

BEAT_S = 0.25
"""Seconds between two signs of life of the loop, and between two looks of the watch."""
STUCK_S = 1.0
"""A loop that has been silent for longer stands still, in seconds."""
TELL_EVERY_S = 10.0
"""Seconds between two lines in the log."""
WINDOW_S = 30.0
"""The longest lag is told for one to two of these, in seconds: a scrape in between must not miss it."""
MOST_FRAMES = 25
"""Innermost frames that are told."""
_log = structlog.get_logger("trunkline.loop")


class LoopWatch:
    """Watches the loop it runs on. The lag is told as `trunkline_event_loop_lag_seconds`."""

    def __init__(self, metrics: Metrics = METRICS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._monotonic = monotonic
        self._due = monotonic() + BEAT_S
        self._window, self._longest, self._before = monotonic(), 0.0, 0.0
        self._thread = 0
        self._told_at = -TELL_EVERY_S
        self._told_of = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Background work of a server: watches until stop is set."""
        self._thread = threading.get_ident()
        self._due = self._monotonic() + BEAT_S
        over = threading.Event()
        watch = threading.Thread(target=self._look, args=(over,), name="trunkline-loop-watch", daemon=True)
        self._metrics.loop_lag_s = self.lag_s
        watch.start()
        try:
            while not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), BEAT_S)
                self.beat()
        finally:
            self._metrics.loop_lag_s = None
            over.set()

    def beat(self) -> None:
        """The loop has come round: notes how late it is."""
        now = self._monotonic()
        if now - self._window > WINDOW_S:
            self._window, self._before, self._longest = now, self._longest, 0.0
        self._longest = max(self._longest, now - self._due)
        self._due = now + BEAT_S

    def lag_s(self) -> float:
        """The longest lag of late, in seconds; one that has not ended yet counts as far as it has come."""
        return max(self._before, self._longest, self._monotonic() - self._due, 0.0)

    def look(self) -> None:
        """Tells where the loop stands, if it stands still; called by the thread that watches."""
        now, due = self._monotonic(), self._due
        if now - due < STUCK_S or due == self._told_of or now - self._told_at < TELL_EVERY_S:
            return
        self._told_at, self._told_of = now, due
        stack = stack_of(sys._current_frames().get(self._thread))
        _log.warning("the event loop stands still", for_s=round(now - due, 1), stack=stack)

    def _look(self, over: threading.Event) -> None:
        while not over.wait(BEAT_S):
            self.look()


def stack_of(frame: FrameType | None) -> list[str]:
    """Where a thread is, outermost first: files, lines and names, and nothing of what it works on."""
    found: list[str] = []
    while frame is not None and len(found) < MOST_FRAMES:
        found.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return found[::-1]
