"""Calls that gRPC has taken are let in before more work begins: a limit can only be kept over calls that are seen.

grpc.aio asks its core for one call at a time, and needs five turns of the event loop for each. Where turns are long,
because handlers compute, calls wait in the core by the thousand while hardly two are seen to run: nobody is refused,
and everybody waits until the deadline (measured: two running, four seconds of waiting). So the core is asked for many
at once, and no handler begins while calls have come that are not in (ADR 13; see also wakeups.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from trunkline.interceptors.wakeups import take_wakeups

ASKED_FOR = 64
"""Calls that the core is asked for at once."""
ENTRY_TURNS = 3
"""Turns of the loop from the moment that gRPC's loop is given a call until the call is in."""
HOLD_S = 0.02
"""Seconds for which calls that are in are held back at most; then they begin for as long, whatever else comes. So work
has half of the time at least, even where letting in and refusing others would take all of it."""


class Intake:
    """Holds calls back while others come in, then begins one a turn, in the order in which they came.

    One for an event loop. Where no other call comes, a call begins at once.
    """

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        """Holds nobody. timer: measures turns of the loop, and so is no clock that stands still."""
        self.came: deque[asyncio.Task[Any]] = deque()
        """Calls that the core has given, and gRPC's loop has not been given yet."""
        self.waiting: deque[asyncio.Future[None]] = deque()
        """Calls that are in and have not begun."""
        self._timer = timer
        self._turning = False
        self._quiet = 0
        self._held_since = 0.0

    def turn(self) -> Awaitable[None] | None:
        """Gives what a call awaits before it begins; None: it begins at once."""
        if not self._turning:
            if not self.came:
                return None
            self._turning = True
            self._held_since = self._timer()
            asyncio.get_running_loop().call_soon(self._next)
        begins: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(begins)
        return begins

    def _next(self) -> None:
        self._quiet = 0 if self.came else self._quiet + 1
        now = self._timer()
        if now - self._held_since >= 2 * HOLD_S:
            self._held_since = now
        if self._quiet >= ENTRY_TURNS or now - self._held_since >= HOLD_S:
            self._begin_one()
        self._turning = bool(self.waiting)
        if self._turning:
            asyncio.get_running_loop().call_soon(self._next)

    def _begin_one(self) -> None:
        # One a turn: while its first step runs, others come.
        while self.waiting:
            begins = self.waiting.popleft()
            if not begins.done():
                begins.set_result(None)
                return


class _AskingServer(cygrpc.AioServer):  # type: ignore[misc]
    """gRPC's own, but for how many calls it asks the core for. What it does with each is left as it is."""

    intake: Intake

    def _make_request_call_future(self, method: bytes | None) -> Any:
        """The next call, for gRPC's loop over them; it has one such future at a time."""
        if method is not None:
            return super()._make_request_call_future(method)
        loop = asyncio.get_running_loop()
        if not hasattr(self, "_asked"):
            self._asked: set[asyncio.Task[Any]] = set()
        self._wanted: asyncio.Future[Any] = loop.create_future()
        while len(self._asked) < ASKED_FOR:
            task = loop.create_task(self._request_call())
            self._asked.add(task)
            task.add_done_callback(self._take)
        self._give()
        return self._wanted

    def _take(self, task: asyncio.Task[Any]) -> None:
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()  # at the end of the server all fail, and gRPC's loop looks at one
        if not self.is_running():
            # Nobody serves them any more; dropped, they are cancelled, and the server need not wait for them.
            self.intake.came.clear()
        self.intake.came.append(task)
        self._give()

    def _give(self) -> None:
        came = self.intake.came
        if not came or self._wanted.done():
            return
        task = came.popleft()
        if task.cancelled():
            self._wanted.cancel()
        elif (error := task.exception()) is not None:
            self._wanted.set_exception(error)
        else:
            self._wanted.set_result(task.result())


def asking_server(intake: Intake, handlers: Sequence[grpc.GenericRpcHandler], options: Any) -> grpc.aio.Server:
    """A server of grpc.aio that asks its core for many calls at once."""
    server: Any = grpc.aio.server(handlers=handlers, options=options)
    server._server = _AskingServer(server._loop, None, tuple(handlers), (), tuple(options), None)
    server._server.intake = intake
    take_wakeups(server._loop)
    return server  # type: ignore[no-any-return]
