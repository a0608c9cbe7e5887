"""How a server ends: what is told first, and how long those that still wait for something are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import grpc
import structlog

from trunkline.shield import shielded_work_ends

LEAVE_S = 2.0
"""Seconds that what is called when a drain begins may take; the drain goes on without it then."""
_log = structlog.get_logger("trunkline.server")


async def leave(hooks: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Takes a server off all lists at once. One that cannot be left holds no drain up."""
    await asyncio.gather(*(_left(hook) for hook in hooks))


async def _left(hook: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(LEAVE_S):
            await hook()
    except Exception:  # noqa: BLE001 - whatever it is, calls that run are to be answered
        _log.warning("could not be told that this server ends", exc_info=True)


class Patience:
    """How long a drain waits: as long as it is given, and no longer once patience is lost."""

    def __init__(self) -> None:
        self._lost = asyncio.Event()

    def lose(self) -> None:
        """Ends every wait, and those to come."""
        self._lost.set()

    async def pause(self, seconds: float) -> None:
        """Waits."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), seconds)

    async def calls_end(self, server: grpc.aio.Server, grace_s: float) -> None:
        """Takes no more calls, and returns when those that run have ended; after grace_s they are cancelled."""
        stopped = asyncio.create_task(server.stop(grace_s))
        if not await self._outlasts(stopped):
            await server.stop(None)  # a second, shorter grace is the one that holds
        await stopped

    async def shielded_work_ends(self, grace_s: float) -> None:
        """Returns when no shielded work runs any more; after grace_s it is cancelled."""
        ended = asyncio.create_task(shielded_work_ends(grace_s))
        if not await self._outlasts(ended):
            await shielded_work_ends(0.0)
        await ended

    async def _outlasts(self, task: asyncio.Task[object]) -> bool:
        """Whether patience lasts until a task has ended."""
        lost = asyncio.create_task(self._lost.wait())
        await asyncio.wait((task, lost), return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        return task.done()
