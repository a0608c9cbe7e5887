"""shield(): work that goes on when the caller of the call it belongs to has gone away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from trunkline.call import InboundCall, current_call, serving

T = TypeVar("T")
_running: dict[asyncio.Task[Any], InboundCall | None] = {}
_log = structlog.get_logger("trunkline.shield")


async def shield(work: Coroutine[Any, Any, T], *, timeout_s: float) -> T:
    """The result of work that neither the caller's cancellation nor the call's deadline ends.

    Inside, the call is the same (its caller, tenant, keys and request id) with a deadline of its own. A server that
    drains waits for it, and a repeat of the call under the same key is asked to wait for it. Who is cancelled while
    waiting here leaves the work behind; what it fails with is then logged.

    Args:
        work: a coroutine.
        timeout_s: after so many seconds it is cancelled all the same.

    Raises:
        TimeoutError: the time was over.
        ServiceError: what the handler has ended its call with already; work is not begun.
    """
    call = current_call()
    if call is not None and call.failure is not None:
        work.close()
        raise call.failure
    task = asyncio.get_running_loop().create_task(_bounded(work, call, timeout_s))
    _running[task] = call
    task.add_done_callback(_running.pop)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_left_behind)
        raise


async def _bounded(work: Coroutine[Any, Any, T], call: InboundCall | None, timeout_s: float) -> T:
    async with asyncio.timeout(timeout_s):
        if call is None:
            return await work
        with serving(replace(call, deadline=call.clock.monotonic() + timeout_s)):
            return await work


def _left_behind(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("shielded work failed after its caller had left", exc_info=error)


def after_shielded(call: InboundCall, then: Callable[[], object]) -> None:
    """Calls then when no shielded work of a call runs any more: at once where none does."""
    task = next((task for task, its in _running.items() if its is call), None)
    if task is None:
        then()
    else:
        task.add_done_callback(lambda _: after_shielded(call, then))


async def shielded_work_ends(timeout_s: float) -> bool:
    """Waits until all shielded work of this loop has ended; after timeout_s it is cancelled, and False is given."""
    loop = asyncio.get_running_loop()
    until, in_time = loop.time() + timeout_s, True
    # Work may shield other work, which is then to be waited for, or cancelled, too.
    while mine := {task for task in _running if task.get_loop() is loop and task is not asyncio.current_task()}:
        _, late = await asyncio.wait(mine, timeout=max(0.0, until - loop.time()))
        for task in late:
            in_time = False
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return in_time
