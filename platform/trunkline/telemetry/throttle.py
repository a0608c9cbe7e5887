"""What is written of a flood of lines that say the same: one a second, and how many were left out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextvars import Context
from dataclasses import dataclass
from typing import Any

INTERVAL_S = 1.0
"""Least time between two lines of one key, in seconds."""
CAPACITY = 1024
"""Keys told apart at once. Those beyond it count as one: a flood of different ones is a flood, too."""
_OTHERS = object()


@dataclass(slots=True)
class _Window:
    """The time after a line of a key, in which the next ones are left out."""

    until: float
    left_out: int = 0


class Throttle:
    """Decides which lines are written: one a second of each key. Pure: it is told what time it is."""

    def __init__(self, interval_s: float = INTERVAL_S, capacity: int = CAPACITY) -> None:
        self._interval_s = interval_s
        self._capacity = capacity
        self._windows: OrderedDict[Hashable, _Window] = OrderedDict()

    def admit(self, key: Hashable, now: float) -> int:
        """0: the line is written. Otherwise it is left out, as that many have been since the last one was written."""
        window = self._windows.get(key)
        if window is None:
            self._forget(now)
            if len(self._windows) >= self._capacity and key is not _OTHERS:
                return self.admit(_OTHERS, now)
        elif window.left_out or now < window.until:
            # What was left out is told by `settle`, and not before.
            window.left_out += 1
            return window.left_out
        self._open(key, now)
        return 0

    def settle(self, key: Hashable, now: float) -> int:
        """How many lines were left out in the time that is over; the line that says so is the one of the next."""
        window = self._windows.get(key)
        if window is None or not window.left_out:
            return 0
        self._open(key, now)
        return window.left_out

    def known(self, key: Hashable) -> Hashable:
        """The key under which lines of this one are counted."""
        return key if key in self._windows else _OTHERS

    def _open(self, key: Hashable, now: float) -> None:
        self._windows[key] = _Window(now + self._interval_s)
        self._windows.move_to_end(key)

    def _forget(self, now: float) -> None:
        while self._windows:
            window = next(iter(self._windows.values()))
            if window.left_out or now < window.until:
                return
            self._windows.popitem(last=False)


class ThrottledLines:
    """Writes lines through a throttle; of what was left out a line tells when the second is over."""

    def __init__(
        self, write: Callable[..., None], monotonic: Callable[[], float], throttle: Throttle | None = None
    ) -> None:
        """Writes nothing yet.

        Args:
            write: takes the fields of a line, and `left_out` for one that tells of others.
            monotonic: what time it is.
            throttle: decides; None: one line a second of each key.
        """
        self._write = write
        self._monotonic = monotonic
        self._throttle = throttle or Throttle()

    def tell(self, same: dict[str, Any], **other: Any) -> None:
        """Writes a line, or leaves it out.

        Args:
            same: fields that lines of one kind have in common. They are the key.
            other: fields that each has of its own.
        """
        key = tuple(same.values())
        left_out = self._throttle.admit(key, self._monotonic())
        if not left_out:
            self._write(**same, **other)
        elif left_out == 1:
            counted = self._throttle.known(key)
            fields = same if counted is not _OTHERS else {}
            # In no call's context: it speaks of many.
            asyncio.get_running_loop().call_later(INTERVAL_S, self._settle, counted, fields, context=Context())

    def _settle(self, key: Hashable, same: dict[str, Any]) -> None:
        left_out = self._throttle.settle(key, self._monotonic())
        if left_out:
            self._write(**same, left_out=left_out)
