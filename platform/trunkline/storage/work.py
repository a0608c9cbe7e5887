"""A piece of work on its way through a thread that commits it, and what was committed."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa


@dataclass(slots=True, eq=False)
class Unit:
    """One piece of work that is committed whole or not at all."""

    work: Callable[[sa.Connection], Any]
    """What to do; repeatable."""
    committed: Callable[[Any], object] | None
    """Told the result on the event loop after the commit, even if nobody waits for it any more."""
    future: asyncio.Future[Any]
    """Who waits. Cancelled before the unit starts, it does not start."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Context of the caller, so that work sees the current call."""
    result: Any = None
    """What work gave back."""
    error: BaseException | None = None
    """Why the unit has no effect."""
    dropped: bool = False
    """It never started: nobody waited any more."""

    def settle(self) -> None:
        """Tells the outcome, on the event loop."""
        if self.dropped:
            return
        if not self.future.done():
            self._resolve()
        if self.error is None and self.committed is not None:
            self.committed(self.result)

    def _resolve(self) -> None:
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):
            self.future.set_exception(RuntimeError("work raised StopIteration"))
        else:
            self.future.set_exception(self.error)


@dataclass(slots=True)
class WriterCounts:
    """What the writer has done since it started."""

    units: int = 0
    """Units that were committed."""
    commits: int = 0
    """Transactions that were committed."""
    lost: int = 0
    """Transactions that were lost, and whose units ran again."""
    repeats: Counter[str] = field(default_factory=Counter)
    """What runs again, by why: `serialization`, `deadlock`, `unique`, `connections`. Reads count as well."""
