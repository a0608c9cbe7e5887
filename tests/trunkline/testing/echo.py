"""An echo server that remembers its connections, and a client that never waits for ever."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from trunkline.testing.fault_proxy import FaultProxy

WITHIN_S = 5.0
CHUNK_BYTES = 64 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Seen:
    """One connection, as the server saw it."""

    side: socket.socket
    chunks: list[bytes] = field(default_factory=list)
    end: str = ""

    @property
    def data(self) -> bytes:
        """All that came."""
        return b"".join(self.chunks)

    def reset(self) -> None:
        """Closing it will send a RST."""
        self.side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


class Echo:
    """Sends back what comes, and says goodbye after the end of it."""

    def __init__(self, goodbye: bytes = b"") -> None:
        self.goodbye = goodbye
        self.seen: list[Seen] = []
        self._tasks: dict[Seen, asyncio.Task[None]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]

    async def __aenter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        await self.hang_up(*self.seen)

    async def hang_up(self, *connections: Seen) -> None:
        """Closes connections."""
        tasks = [self._tasks[one] for one in connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self) -> None:
        side, _ = self._listener.accept()
        side.setblocking(False)
        seen = Seen(side)
        self.seen.append(seen)
        self._tasks[seen] = asyncio.create_task(self._serve(seen))
        self._tasks[seen].add_done_callback(lambda _: side.close())

    async def _serve(self, seen: Seen) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(seen.side, CHUNK_BYTES):
                seen.chunks.append(data)
                await loop.sock_sendall(seen.side, data)
            seen.end = "ended"
            await loop.sock_sendall(seen.side, self.goodbye)
        except ConnectionError:
            seen.end = "reset"


class Client:
    """A connection; whatever takes longer than WITHIN_S fails."""

    def __init__(self, side: socket.socket) -> None:
        self.side = side

    async def send(self, data: bytes) -> None:
        """Sends everything."""
        async with asyncio.timeout(WITHIN_S):
            await asyncio.get_running_loop().sock_sendall(self.side, data)

    async def receive(self, size: int) -> bytes:
        """So many bytes, or fewer if the connection ends before."""
        received = bytearray()
        async with asyncio.timeout(WITHIN_S):
            while left := min(CHUNK_BYTES, size - len(received)):
                data = await asyncio.get_running_loop().sock_recv(self.side, left)
                if not data:
                    break
                received += data
        return bytes(received)

    async def exchange(self, data: bytes) -> bytes:
        """What comes back for it."""
        await self.send(data)
        return await self.receive(len(data))

    async def is_reset(self) -> bool:
        """Waits for the end of the connection: whether that is a reset, with nothing before it."""
        try:
            assert await self.receive(1) == b""
        except ConnectionResetError:
            return True
        return False

    def end(self) -> None:
        """Will send nothing more, and goes on to receive."""
        self.side.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes with a RST."""
        self.side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.side.close()


@asynccontextmanager
async def dialled(to: FaultProxy | Echo) -> AsyncIterator[Client]:
    """A connection to a proxy, or to the server itself."""
    with socket.socket() as side:
        side.setblocking(False)
        side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK_BYTES)
        async with asyncio.timeout(WITHIN_S):
            await asyncio.get_running_loop().sock_connect(side, ("127.0.0.1", to.port))
        yield Client(side)


async def is_reset_when_new(proxy: FaultProxy) -> bool:
    """Whether a new connection is taken and then reset, however early."""
    with suppress(ConnectionResetError):
        async with dialled(proxy) as client:
            return await client.is_reset()
    return True


def sockets() -> set[str]:
    """The sockets of this process."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        # Some descriptors, that of this listing among them, are gone when they are looked at.
        with suppress(FileNotFoundError):
            found.add(str(link.readlink()))
    return {name for name in found if name.startswith("socket:")}


@contextmanager
def nothing_left() -> Iterator[None]:
    """After the block there is no task and no socket that was not there before."""
    tasks, before = asyncio.all_tasks(), sockets()
    yield
    assert asyncio.all_tasks() - tasks - {asyncio.current_task()} == set()
    assert sockets() - before == set()
