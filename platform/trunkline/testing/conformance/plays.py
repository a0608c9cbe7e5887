"""What is done with the call of a case: made, cancelled, cut off, dropped, left early."""

from __future__ import annotations

import asyncio

import grpc

from trunkline.errors import ServiceError
from trunkline.testing.conformance.stage import Seen, Stage

MANY = 20
"""Requests of a stream that is still being sent when its call fails."""
DEADLINE_S = 0.1
"""Seconds that a call has which is to be late: enough to reach its handler on a busy machine."""


async def nothing(stage: Stage) -> None:
    """Nothing happens before the call."""


async def made(stage: Stage) -> None:
    """Makes one call and takes all that comes of it."""
    await stage.ended(stage.calling())


async def sent_on(stage: Stage) -> None:
    """Makes one call that fails while its requests are still being sent."""
    await stage.ended(stage.calling(requests=MANY))


async def written_on(stage: Stage) -> None:
    """Writes to a call that has failed."""
    call, request = stage.begin(requests=0), stage.plan.rpc.request("first")
    await call.write(request)
    await stage.happens("the call ends", call.done)
    try:
        await call.write(request)
    except ServiceError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            stage.problems.append(f"write() to a call that has failed raises {error!r}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
        stage.problems.append(f"write() to a call that has failed raises {error!r}")
    else:
        stage.problems.append("write() to a call that has failed goes well")
    await stage.ended(stage.reading(call))


async def cancelled_before(stage: Stage) -> None:
    """Cancels a call before anything is sent."""
    call = stage.begin(held=True)
    if not call.cancel():
        stage.problems.append("cancel() of a call that has not begun does nothing")
    await stage.ended(stage.reading(call))


async def cancelled(stage: Stage) -> None:
    """Cancels a call whose handler runs."""
    caller = stage.calling(held=True)
    await stage.under_way(caller)
    if not caller.call.cancel():
        stage.problems.append("cancel() of a call that runs does nothing")
    await stage.ended(caller)


async def waiter_cancelled(stage: Stage) -> None:
    """Cancels the task that waits for a call whose handler runs."""
    caller = stage.calling(held=True)
    await stage.under_way(caller)
    caller.task.cancel()
    await stage.ended(caller)


async def cancelled_after(stage: Stage) -> None:
    """Cancels a call that has ended."""
    caller = stage.calling()
    await stage.ended(caller)
    if caller.call.cancel():
        stage.problems.append("cancel() of a call that has ended says that it cancelled")
    await stage.agree(caller.call, caller.seen)


async def joined(stage: Stage) -> None:
    """Makes one call that two wait for."""
    call = stage.begin()
    first, second = stage.reading(call), stage.reading(call)
    await stage.ended(first)
    await stage.ended(second)
    if first.seen != second.seen:
        stage.problems.append(f"who waits for the same call is told otherwise: {first.seen}")


async def joined_cancelled(stage: Stage) -> None:
    """Cancels a call that has begun before anybody waited for it."""
    call = stage.begin(held=True)
    await stage.stuck()
    caller = stage.reading(call)
    await asyncio.sleep(0)
    call.cancel()
    await stage.ended(caller)


async def too_late(stage: Stage) -> None:
    """Makes one call that has little time, and a handler that takes all of it."""
    await stage.ended(stage.calling(held=True, timeout=DEADLINE_S))


async def peer_stops(stage: Stage) -> None:
    """Stops the server without grace while a handler runs."""
    caller = stage.calling(held=True)
    await stage.under_way(caller)
    await stage.server.drain()
    await stage.ended(caller)


async def peer_cut(stage: Stage) -> None:
    """Cuts the connection while a handler runs."""
    caller = stage.calling(held=True)
    await stage.under_way(caller)
    await stage.cut()
    await stage.ended(caller)


async def dropped(stage: Stage) -> None:
    """Drops a call that nobody waits for, while its handler runs."""
    call = stage.begin(held=True)
    await stage.happens("the call reaches its handler", lambda: stage.script.handled == 1)
    if stage.plan.rpc.streams:
        await stage.stuck()
    del call


async def dropped_begun(stage: Stage) -> None:
    """Drops a call whose reply has begun, unread."""
    call = stage.begin(held=True)
    await stage.stuck()
    await call.initial_metadata()
    del call


async def broken_off(stage: Stage) -> None:
    """Leaves the loop over a streaming reply after its first message."""
    call = stage.begin(held=True)
    stage.seen = seen = Seen()
    async for _ in call:
        seen.messages += 1
        break
    seen.raised = "CancelledError"  # what the next read would raise
    await stage.happens("the handler is cancelled", lambda: stage.script.cancelled == 1)
    await stage.agree(call, seen)
