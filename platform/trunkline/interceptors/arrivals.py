"""Calls whose request is not there yet: they are waited for, but not for long, and they do not stand in others' way."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import grpc

from trunkline.errors import ServiceError, platform_error

CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT"
"""Reason of the refusal of a call beyond what a server does at once."""
SHED_RETRY_S = (0.1, 0.3)
"""Seconds after which a call that was shed may come back: between these, or all would come back together."""


class Arrivals:
    """Requests that are waited for. One timer for all: a request that is there already costs an entry in a dict.

    A peer that opens calls and sends nothing holds neither a place among the running calls, nor more than so many
    entries here: beyond them the one that waits longest is shed, and an honest request comes within milliseconds.
    """

    __slots__ = ("_ending", "_failures", "_limit_s", "_most", "_timer", "_waiting")

    def __init__(self, limit_s: float, most: int) -> None:
        """Nobody waits.

        Args:
            limit_s: seconds that a request may take to arrive.
            most: requests that are waited for at once.
        """
        self._limit_s = limit_s
        self._most = most
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._failures: dict[asyncio.Task[Any], ServiceError] = {}
        self._ending = 0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Calls that wait, and those that have waited in vain and are on their way out."""
        return len(self._waiting) + self._ending

    async def read(self, context: Any) -> Any:
        """The first message of a call, or EOF.

        Raises:
            ServiceError: it did not come in time, or too many are waited for.
        """
        task, waiting = asyncio.current_task(), self._waiting
        assert task is not None
        if len(waiting) >= self._most:
            self._end(next(iter(waiting)), too_many())
        loop = task.get_loop()
        waiting[task] = begun = loop.time()
        if self._timer is None:
            self._timer = loop.call_at(begun + self._limit_s, self._sweep)
        try:
            return await context.read()
        except asyncio.CancelledError:
            failure = self._failures.pop(task, None)
            if failure is None or task.uncancel() > 0:
                raise
            raise failure from None
        finally:
            waiting.pop(task, None)

    def _sweep(self) -> None:
        """Ends what has waited too long; the first entries are the oldest."""
        self._timer = None
        for task, begun in list(self._waiting.items()):
            end, loop = begun + self._limit_s, task.get_loop()
            if end > loop.time():
                self._timer = loop.call_at(end, self._sweep)
                return
            self._end(task, _incomplete())

    def _end(self, task: asyncio.Task[Any], failure: ServiceError) -> None:
        del self._waiting[task]
        self._failures[task] = failure
        self._ending += 1
        task.add_done_callback(self._ended)
        task.cancel()

    def _ended(self, _: asyncio.Task[Any]) -> None:
        self._ending -= 1


def too_many(retry_after_s: float | None = None) -> ServiceError:
    """The refusal of a call beyond what a server does at once; None: it may come back after one of SHED_RETRY_S."""
    return platform_error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        CONCURRENCY_LIMIT,
        "the server runs as many calls as it may",
        retry_after_s=random.uniform(*SHED_RETRY_S) if retry_after_s is None else retry_after_s,
    )


def _incomplete() -> ServiceError:
    return platform_error(
        grpc.StatusCode.DEADLINE_EXCEEDED, "REQUEST_INCOMPLETE", "the request did not arrive in the time it has"
    )
