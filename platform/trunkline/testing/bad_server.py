"""A server that breaks the rules of HTTP/2 and gRPC on purpose, and counts what clients make of it.

Its behaviours are functions of a call; the modes of gRPC's negative tests are here. It needs `h2`, which the library
does not bring along.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

from trunkline.testing.bad_connection import BadCall, BadConnection, prefixed
from trunkline.testing.fault_proxy import LOOPBACK

Behaviour = Callable[[BadCall], Awaitable[None]]
"""What becomes of a call whose request is complete."""
Greeting = Callable[[BadConnection], Awaitable[None]]
"""What happens on a connection before anything is read from it; one that closes it has closed it."""


async def answer(call: BadCall) -> None:
    """Answers with an empty message."""
    await call.answer()


async def goaway(call: BadCall) -> None:
    """Answers, and takes no further call on the connection."""
    call.connection.goaway(call.stream)
    await call.answer()


async def rst_after_header(call: BadCall) -> None:
    """Resets the call after the headers."""
    call.headers()
    call.reset()


async def rst_during_data(call: BadCall) -> None:
    """Resets the call in the middle of its answer."""
    call.headers()
    await call.data(prefixed(bytes(100))[:50])
    call.reset()


async def rst_after_data(call: BadCall) -> None:
    """Resets the call after the whole answer, before its status."""
    call.headers()
    await call.data(prefixed(b""))
    call.reset()


async def ping(call: BadCall) -> None:
    """Answers, with a PING before and after everything that it sends."""
    call.connection.ping()
    call.headers()
    call.connection.ping()
    await call.data(prefixed(b""))
    call.connection.ping()
    call.trailers()
    call.connection.ping()


HEALTH = "/grpc.health.v1.Health/Watch"
"""What a client asks before it calls."""


async def no_health(call: BadCall) -> None:
    """Says that it serves no health: a client takes it for well then."""
    call.headers(grpc_status="12", end=True)


class BadServer:
    """A server on a free port of this machine. An async context manager: leaving it cuts every connection."""

    def __init__(self, behave: Behaviour = answer, *, port: int = 0, settings: dict[int, int] | None = None) -> None:
        """Listens to nothing yet.

        Args:
            behave: what becomes of a call.
            port: to listen on; 0: a free one.
            settings: of HTTP/2, by number, that it begins each connection with.
        """
        self.behave = behave
        """What becomes of a call."""
        self.behave_health: Behaviour = no_health
        """What becomes of a client's question whether it is well; it counts as no call."""
        self.greeting: Greeting | None = None
        """What happens when a connection comes."""
        self.settings: dict[int, int] | None = settings or {}
        """Sent first on every connection; None: never sent."""
        self.port = port
        """Where it listens."""
        self.connections: list[float] = []
        """Instants (time.monotonic) at which connections came."""
        self.calls: list[BadCall] = []
        """All calls that have come: the attempts of its clients."""
        self.most_at_once = 0
        """The most calls that were open on one connection."""
        self.resets = 0
        """Calls that clients have reset."""
        self.failures: list[BaseException] = []
        """What went wrong in the server itself."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[BadConnection] = set()
        self._accepted: list[socket.socket] = []

    @property
    def target(self) -> str:
        """Its address."""
        return f"{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        # Not asyncio's server: a connection that comes in the moment of its end it neither serves nor closes.
        self._listener = socket.create_server((LOOPBACK, self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for connection in tuple(self._open):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for accepted in self._accepted:
            accepted.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            accepted, _ = self._listener.accept()
            self.connections.append(time.monotonic())
            self._accepted.append(accepted)
            self._task(self._connected(accepted))

    def saw(self, call: BadCall) -> None:
        """Notes a call."""
        if call.path == HEALTH:
            return
        self.calls.append(call)
        running = [one for one in call.connection.calls.values() if not one.ended]
        self.most_at_once = max(self.most_at_once, len(running))

    def complete(self, call: BadCall) -> None:
        """Lets its behaviour begin."""
        self._task(self._behave(call))

    def reset(self, call: BadCall) -> None:
        """Notes that a client has reset a call."""
        self.resets += call.path != HEALTH

    async def _behave(self, call: BadCall) -> None:
        with suppress(ConnectionError):  # the client has left in the middle
            await (self.behave_health if call.path == HEALTH else self.behave)(call)

    async def _connected(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        connection = BadConnection(self, reader, writer)
        self._open.add(connection)
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._greet(connection)
                await connection.serve()
        except Exception as failure:  # noqa: BLE001 - of the client's making, or of the server's: a test tells which
            self.failures.append(failure)
        finally:
            self._open.discard(connection)
            connection.close()

    async def _greet(self, connection: BadConnection) -> None:
        if self.greeting is not None:
            await self.greeting(connection)
        if self.settings is not None:
            connection.settings(self.settings)

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.failures.append(failure)
