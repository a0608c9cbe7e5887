"""Load that does not wait for its answers: calls begin when they are due, however the others fare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trunkline.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call of a load went."""

    due_s: float
    """When it was due, in seconds from the beginning of the load."""
    took_s: float
    """How long it took."""
    reason: str
    """Reason of its failure; empty if it went well."""


async def open_loop(
    call: Callable[[int], Awaitable[object]],
    *,
    per_s: float,
    seconds: float,
    tell: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Begins so many calls a second, each with its number; gives their outcomes in the order in which they were due.

    Args:
        call: makes one.
        per_s: calls a second.
        seconds: for how long.
        tell: told each outcome as it comes.
    """
    began = time.monotonic()

    async def one(number: int) -> Outcome:
        at = time.monotonic()
        reason = ""
        try:
            await call(number)
        except ServiceError as error:
            reason = error.reason or error.code.name
        outcome = Outcome(number / per_s, time.monotonic() - at, reason)
        if tell is not None:
            tell(outcome)
        return outcome

    tasks = []
    try:
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(began + number / per_s - time.monotonic())
            tasks.append(asyncio.create_task(one(number)))
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
