"""Waiting that ends early, and work that is made to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 0.2
"""Seconds after which a task that goes on is cancelled again."""


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks until they have ended: while it sends a command the client of Redis may swallow a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)


async def pause(seconds: float, *until: asyncio.Event) -> bool:
    """Waits until one of the events is set, at most so long; says whether one is."""
    if any(event.is_set() for event in until):
        return True
    waits = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)
