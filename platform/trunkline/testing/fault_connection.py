"""One connection through a FaultProxy: a pump in each direction, which looks at the mode before every step."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from trunkline.clock import Clock
from trunkline.policies.retry import Uniform
from trunkline.testing.fault_modes import Direction, Mode, Pass

CHUNK_BYTES = 64 * 1024
"""Most bytes that are read at once."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, with 0 s: closing sends a RST in place of a FIN."""
Pause = Callable[[asyncio.Event, float], Awaitable[None]]
"""Returns when the event is set, or after so many seconds."""


async def until_set(event: asyncio.Event, within_s: float) -> None:
    """Returns when the event is set, or after so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


def tcp_socket(host: str) -> socket.socket:
    """A socket that never blocks and sends small pieces at once."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


@dataclass(slots=True)
class Counts:
    """What a proxy has seen since it was made."""

    connections: int = 0
    """Connections taken. Those that Refuse turns away never reach the proxy."""
    refused: int = 0
    """Of these, those that the server did not take."""
    resets: int = 0
    """Of these, those that the proxy cut."""
    request_bytes: int = 0
    """Bytes sent on to the server."""
    response_bytes: int = 0
    """Bytes sent back to clients."""
    dropped_bytes: int = 0
    """Bytes that Blackhole and Half threw away, of both directions. What is lost in a reset is not counted."""


@dataclass(slots=True)
class Switch:
    """The mode, and what every connection needs to follow it."""

    clock: Clock
    """Tells when delayed bytes are due."""
    uniform: Uniform
    """Dice of the jitter."""
    pause: Pause
    """How it waits."""
    mode: Mode = field(default_factory=Pass)
    """What happens now."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this mode ends; the next mode has another event."""
    counts: Counts = field(default_factory=Counts)
    """What has happened."""

    def turn(self, mode: Mode) -> None:
        """Sets the mode, and wakes whoever waits for the end of the old one."""
        self.mode = mode
        self.changed.set()
        self.changed = asyncio.Event()

    async def thawed(self) -> None:
        """Returns when the mode lets anything be sent."""
        while self.mode.frozen:
            await self.changed.wait()

    async def wait(self, due: float, changed: asyncio.Event) -> None:
        """Returns at that time, or when the event is set."""
        while not changed.is_set() and (left_s := due - self.clock.monotonic()) > 0:
            await self.pause(changed, left_s)


@dataclass(slots=True, eq=False)
class Connection:
    """A client's connection and, unless that is swallowed, the one to the server."""

    switch: Switch
    """What it follows."""
    client: socket.socket
    """The accepted side."""
    server: socket.socket | None = None
    """The other side, once it is dialled."""
    lossy: bool = False
    """Bytes were dropped. Nothing sensible can follow them (HPACK has lost its table): the next mode cuts it."""
    over: bool = False
    """Nothing passes any more."""
    reset: bool = False
    """It closes with a RST."""

    async def run(self, host: str, port: int) -> None:
        """Carries bytes until both directions have ended, or a side fails."""
        if self.switch.mode.dials and await self._carry(host, port):
            return
        self.lossy = True
        with suppress(ConnectionError):
            while data := await asyncio.get_running_loop().sock_recv(self.client, CHUNK_BYTES):
                self.switch.counts.dropped_bytes += len(data)

    def cut(self) -> None:
        """Lets nothing pass any more; closing will reset both sides."""
        if not self.over:
            self.switch.counts.resets += 1
        self.over = self.reset = True

    def close(self) -> None:
        """Closes both sides."""
        for side in (self.client, self.server):
            if side is None:
                continue
            if self.reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            side.close()

    async def _carry(self, host: str, port: int) -> bool:
        """Whether that is the end. While responses are dropped the client does not hear of a failure either."""
        failed = False
        try:
            await self._exchange(await self._dial(host, port))
        except* OSError:
            failed = True
        if failed and not self.over and "response" in self.switch.mode.drops:
            return False
        self.reset = self.reset or failed
        return True

    async def _dial(self, host: str, port: int) -> socket.socket:
        self.server = tcp_socket(host)
        try:
            await asyncio.get_running_loop().sock_connect(self.server, (host, port))
        except OSError:
            self.switch.counts.refused += 1
            raise
        return self.server

    async def _exchange(self, server: socket.socket) -> None:
        async with asyncio.TaskGroup() as group:
            for pump in self.pumps(server):
                group.create_task(pump.read())
                group.create_task(pump.write())

    def pumps(self, server: socket.socket) -> tuple[Pump, Pump]:
        """What carries requests, and what carries responses."""
        return Pump(self, "request", self.client, server), Pump(self, "response", server, self.client)


class Chunk(NamedTuple):
    """Bytes under way; none are the end of the stream, and None cuts the connection."""

    data: bytes | None
    due: float
    changed: asyncio.Event


class Pump:
    """One direction of a connection: what was read stands in a line until it is due, and is sent in order."""

    def __init__(
        self, connection: Connection, direction: Direction, source: socket.socket, sink: socket.socket
    ) -> None:
        self._connection = connection
        self._switch = connection.switch
        self._direction = direction
        self._source = source
        self._sink = sink
        self._line: asyncio.Queue[Chunk] = asyncio.Queue()
        self._line_bytes = 0
        self._room = asyncio.Event()
        self._counted_in = self._switch.changed
        self._passed_bytes = 0

    async def read(self) -> None:
        """Puts what comes into the line, its end included."""
        while data := await asyncio.get_running_loop().sock_recv(self._source, CHUNK_BYTES):
            await self.take(data)
            await self.room()
        self.put(b"")

    async def take(self, data: bytes) -> None:
        """Decides what comes of bytes that were read: here they all go into the line."""
        self.put(data)

    def put(self, data: bytes | None) -> None:
        """Puts bytes into the line; none end the stream, None cuts the connection when everything before it is sent."""
        due = self._switch.clock.monotonic() + self._switch.mode.delay_s(self._direction, self._switch.uniform)
        self._line.put_nowait(Chunk(data, due, self._switch.changed))
        self._line_bytes += len(data or b"")

    async def room(self) -> None:
        """Returns when the mode lets more be read."""
        line_bytes = self._switch.mode.line_bytes
        while self._line_bytes > line_bytes:
            self._room.clear()
            await self._room.wait()

    async def write(self) -> None:
        """Sends what stands in the line, its end included."""
        while True:
            chunk = await self._line.get()
            await self._switch.wait(chunk.due, chunk.changed)
            if chunk.data is None:
                self._connection.cut()
                self._go_on()
            elif not chunk.data:
                return await self._send_end()
            else:
                await self._send(chunk.data)
                self._line_bytes -= len(chunk.data)
                self._room.set()

    async def _send(self, data: bytes) -> None:
        while data:
            await self._switch.thawed()
            if self._direction in self._switch.mode.drops:
                self._connection.lossy = True
                self._switch.counts.dropped_bytes += len(data)
                return
            data = data[await self._send_piece(data) :]

    async def _send_piece(self, data: bytes) -> int:
        """Sends what the mode lets pass next; tells how much that was, which is nothing if the mode changed."""
        mode, changed = self._switch.mode, self._switch.changed
        size, pause_s = mode.pace(self._direction, len(data))
        await self._switch.wait(self._switch.clock.monotonic() + pause_s, changed)
        if changed.is_set():
            return 0
        if self._counted_in is not changed:
            self._counted_in, self._passed_bytes = changed, 0
        limit = mode.limit_bytes(self._direction)
        if limit is not None:
            size = min(size, limit - self._passed_bytes)
        self._go_on()
        await asyncio.get_running_loop().sock_sendall(self._sink, data[:size])
        self._count(size)
        if limit is not None and self._passed_bytes >= limit:
            self._connection.cut()
        self._go_on()
        return size

    def _count(self, size: int) -> None:
        self._passed_bytes += size
        if self._direction == "request":
            self._switch.counts.request_bytes += size
        else:
            self._switch.counts.response_bytes += size

    async def _send_end(self) -> None:
        """Passes the end on: that of dropped requests too, or the server would leak; not that of dropped responses."""
        await self._switch.thawed()
        if self._direction == "response" and self._direction in self._switch.mode.drops:
            self._connection.lossy = True
            return
        self._go_on()
        self._sink.shutdown(socket.SHUT_WR)

    def _go_on(self) -> None:
        """Raises ConnectionResetError if nothing may pass any more."""
        if self._connection.over:
            raise ConnectionResetError
