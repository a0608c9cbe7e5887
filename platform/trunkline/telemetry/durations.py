"""Durations, counted by bucket: written by the event loop, read by a scrape in another thread."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable

import grpc

# fmt: off
LATENCY_BUCKETS_S = (
    0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008,
    0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5,
    0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
)
# fmt: on
"""Upper bounds of the buckets of durations, in seconds (gRFC A66)."""
_LOOKS = 100
"""Times a histogram is looked at, at most, where it is being counted meanwhile."""
_LOOK_AGAIN_S = 0.0002
"""Seconds between two looks."""
_MOST_WAITING = 256
"""Durations that wait to be counted."""
_CODES = frozenset(code.name for code in grpc.StatusCode)


class Histogram:
    """Durations, counted by bucket. What is added waits in a list, and is counted by the hundred.

    Counting one touches the bounds of many buckets, which are never in the processor's cache when a call ends.
    """

    __slots__ = ("_counts", "_steps", "_sum_s", "_waiting")

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum_s = 0.0
        self._waiting: list[float] = []
        self._steps = 0

    def add(self, seconds: float) -> None:
        """Counts one."""
        waiting = self._waiting
        waiting.append(seconds)
        if len(waiting) >= _MOST_WAITING:
            self._count_waiting()

    def add_all(self, durations: Iterable[float]) -> None:
        """Counts some."""
        self._waiting += durations
        if len(self._waiting) >= _MOST_WAITING:
            self._count_waiting()

    def _count_waiting(self) -> None:
        # Odd while it goes on: a scrape in another thread looks again.
        self._steps += 1
        self._sum_s += _count(self._waiting, self._counts)
        self._waiting.clear()
        self._steps += 1

    def read(self) -> tuple[list[int], float]:
        """How many in each bucket, not cumulated, the last one of everything longer; and seconds in all."""
        for _ in range(_LOOKS):
            steps, counts, sum_s, waiting = self._steps, self._counts.copy(), self._sum_s, self._waiting.copy()
            if steps == self._steps and steps % 2 == 0:
                break
            # Only another thread than the writer's comes here, and until it lets go the writer cannot go on.
            time.sleep(_LOOK_AGAIN_S)
        return counts, sum_s + _count(waiting, counts)


def _count(durations: list[float], counts: list[int]) -> float:
    for seconds in durations:
        counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
    return sum(durations)


class Durations(dict[str, Histogram]):
    """A histogram per status code, made when the code is first seen."""

    def __missing__(self, code: str) -> Histogram:
        # A code that gRPC does not know must not become a label.
        return self.setdefault(code if code in _CODES else "UNKNOWN", Histogram())

    def add(self, code: str, seconds: float) -> None:
        """Counts one that ended with code."""
        self[code].add(seconds)

    def total(self) -> int:
        """How many ended."""
        return sum(sum(histogram.read()[0]) for histogram in self.copy().values())
