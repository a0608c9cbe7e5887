"""A TCP proxy on loopback that stands before a gRPC port, Redis or PostgreSQL, and fails when told to."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Self

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.policies.retry import Uniform
from trunkline.testing.fault_connection import Connection, Counts, Pause, Switch, tcp_socket, until_set
from trunkline.testing.fault_modes import Mode, Pass

LOOPBACK = "127.0.0.1"
"""The only address it listens on."""


class FaultProxy:
    """Carries TCP connections to a server, with faults that are switched at run time. An async context manager.

    async with FaultProxy("127.0.0.1", port) as proxy:
        channel = grpc.aio.insecure_channel(proxy.target)
        await proxy.set(Blackhole())

    Leaving it closes its sockets and ends its tasks. A side that ends ends the other: an end of stream is passed
    on as one (half-close), a reset as a reset.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        clock: Clock = SYSTEM_CLOCK,
        uniform: Uniform = random.uniform,
        pause: Pause = until_set,
    ) -> None:
        """Opens nothing yet.

        Args:
            host: Where the server is.
            port: The server's port.
            clock: Tells when delayed bytes are due.
            uniform: Dice of the jitter; `random.Random(seed).uniform` throws the same each time.
            pause: Waits for a time, or until the mode changes.
        """
        self._server = host, port
        self._switch = Switch(clock, uniform, pause)
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self._holder: socket.socket | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        """Where it listens, the same in every mode; 0 before it is entered."""

    async def __aenter__(self) -> Self:
        # Never listens: it keeps the port while Refuse has closed the listener.
        self._holder = _bound(0)
        self.port = self._holder.getsockname()[1]
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_listening()
        if self._holder is not None:
            self._holder.close()
            self._holder = None
        await self._end(list(self._open))

    @property
    def target(self) -> str:
        """Its address, as a channel takes it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def mode(self) -> Mode:
        """What it does now."""
        return self._switch.mode

    @property
    def counts(self) -> Counts:
        """What it has seen."""
        return self._switch.counts

    @property
    def open_connections(self) -> int:
        """Connections of clients that are open now."""
        return len(self._open)

    async def set(self, mode: Mode) -> None:
        """Changes what it does, with open connections too; those that lost bytes are reset, whatever comes next."""
        self._switch.turn(mode)
        self._listen()
        await self._cut([one for one in self._open if one.lossy or mode.resets])

    async def heal(self) -> None:
        """Lets everything pass again."""
        await self.set(Pass())

    async def reset_connections(self) -> None:
        """Resets what is open now, on both sides. The mode stays."""
        await self._cut(list(self._open))

    def _listen(self) -> None:
        if not self.mode.listens:
            self._stop_listening()
        elif self._holder is not None and self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen()
            asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counts.connections += 1
        connection = self._connection(client)
        if self.mode.resets:
            connection.cut()
            connection.close()
            return
        self._open[connection] = task = asyncio.create_task(connection.run(*self._server))
        # Here and not at the end of run(), which a task that is cancelled at once never begins.
        task.add_done_callback(lambda _: self._close(connection))

    def _connection(self, client: socket.socket) -> Connection:
        return Connection(self._switch, client)

    def _close(self, connection: Connection) -> None:
        connection.close()
        del self._open[connection]

    async def _cut(self, connections: list[Connection]) -> None:
        for one in connections:
            one.cut()
        await self._end(connections)

    async def _end(self, connections: list[Connection]) -> None:
        tasks = [self._open[one] for one in connections]
        for one, task in zip(connections, tasks, strict=True):
            one.over = True
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _bound(port: int) -> socket.socket:
    made = tcp_socket(LOOPBACK)
    # Lets the listener share the port with its holder; Linux allows that as long as only one of them listens.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((LOOPBACK, port))
    return made
