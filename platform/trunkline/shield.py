"""shield(): work that goes on when the caller of the call it belongs to has gone away."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from trunkline.call import current_call, serving

T = TypeVar("T")
_running: set[asyncio.Task[Any]] = set()
_log = structlog.get_logger("trunkline.shield")


async def shield(work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
    """The result of work that neither the caller's cancellation nor the call's deadline ends.

    Inside, the call is the same (its caller, tenant, keys and request id) with a deadline of its own. A server that
    drains waits for it. Who is cancelled while waiting here leaves the work behind; what it fails with is then logged.

    Args:
        work: a coroutine.
        timeout_s: after so many seconds it is cancelled all the same.

    Raises:
        TimeoutError: the time was over.
    """
    context = contextvars.copy_context()
    task = asyncio.get_running_loop().create_task(context.run(_bounded, work, timeout_s), context=context)
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_left_behind)
        raise


async def _bounded(work: Coroutine[Any, Any, T], timeout_s: float) -> T:
    call = current_call()
    async with asyncio.timeout(timeout_s):
        if call is None:
            return await work
        with serving(replace(call, deadline=call.clock.monotonic() + timeout_s, failure=None)):
            return await work


def _left_behind(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("shielded work failed after its caller had left", exc_info=error)


async def shielded_work_ends(timeout_s: float) -> bool:
    """Waits until all shielded work of this loop has ended; after timeout_s it is cancelled, and False is given."""
    loop = asyncio.get_running_loop()
    mine = {task for task in _running if task.get_loop() is loop and task is not asyncio.current_task()}
    if not mine:
        return True
    _, late = await asyncio.wait(mine, timeout=timeout_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return not late
