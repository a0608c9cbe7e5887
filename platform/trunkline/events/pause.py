"""Waiting that ends early."""

from __future__ import annotations

import asyncio


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
