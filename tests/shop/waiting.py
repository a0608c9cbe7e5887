"""Waiting, with a bound, for what happens in other processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

HEAL_S = 30.0
"""Seconds within which everything must be well again after a fault is over."""
_LOOK_S = 0.05


async def until(condition: Callable[[], object], what: str, bound_s: float = HEAL_S) -> None:
    """Waits until a condition, or what it awaits, is true; what says in the failure what was waited for."""
    end = time.monotonic() + bound_s
    while not await _value(condition):
        assert time.monotonic() < end, f"not within {bound_s:.0f} s: {what}"
        await asyncio.sleep(_LOOK_S)


async def until_none(look: Callable[[], list[str] | Awaitable[list[str]]], bound_s: float = HEAL_S) -> None:
    """Waits until a look finds nothing to complain about; the failure shows the last complaints."""
    end = time.monotonic() + bound_s
    while complaints := await _value(look):
        shown = "\n  ".join(complaints[:20])
        assert time.monotonic() < end, f"still after {bound_s:.0f} s, {len(complaints)} in all:\n  {shown}"
        await asyncio.sleep(_LOOK_S)


def until_true(condition: Callable[[], bool], what: Callable[[], str], bound_s: float) -> None:
    """As until, where no event loop runs."""
    end = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < end, f"not within {bound_s:.0f} s: {what()}"
        time.sleep(_LOOK_S)


async def _value(look: Callable[[], Any]) -> Any:
    found = look()
    return await found if isawaitable(found) else found
