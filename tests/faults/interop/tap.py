"""A wire in front of a server that tells which messages pass it compressed: gRPC tells nobody in Python."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Self

import hpack
from trunkline.testing.bad_connection import DATA, HEADERS
from trunkline.testing.bad_server import HEALTH
from trunkline.testing.fault_proxy import LOOPBACK

PREFACE_BYTES, HEAD_BYTES, PREFIX_BYTES = 24, 9, 5
_CHUNK_BYTES = 65_536


class Tap:
    """Passes everything on. An async context manager: leaving it cuts what goes through it."""

    def __init__(self, port: int) -> None:
        """Listens to nothing yet.

        Args:
            port: of the server.
        """
        self.port = 0
        """Where it listens."""
        self.requests: deque[bool] = deque()
        """Whether each message that went to the server was compressed; what the server has read is taken out."""
        self.answers: list[bool] = []
        """Whether each message that came from it was."""
        self._behind = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        outward = writer
        try:
            inward, outward = await asyncio.open_connection(LOOPBACK, self._behind)
            async with asyncio.TaskGroup() as group:
                health: set[int] = set()
                group.create_task(_pass(reader, outward, Flags(self.requests, health, PREFACE_BYTES)))
                group.create_task(_pass(inward, writer, Flags(self.answers, health)))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            outward.close()
            writer.close()
            self._tasks.discard(task)


class Flags:
    """Reads frames, and of each message on each stream the first byte.

    Streams on which a client asks for the server's health are left out.
    """

    def __init__(self, found: deque[bool] | list[bool], health: set[int], skip_bytes: int = 0) -> None:
        self._decoder = hpack.Decoder() if skip_bytes else None
        self._health = health
        self._found = found
        self._skip_bytes = skip_bytes
        self._waiting = bytearray()
        self._bodies: dict[int, bytearray] = {}

    def saw(self, data: bytes) -> None:
        """Takes what has passed."""
        self._waiting += data
        if self._skip_bytes:
            if len(self._waiting) < self._skip_bytes:
                return
            del self._waiting[: self._skip_bytes]
            self._skip_bytes = 0
        while len(self._waiting) >= HEAD_BYTES:
            end = HEAD_BYTES + int.from_bytes(self._waiting[:3], "big")
            if len(self._waiting) < end:
                return
            kind, stream = self._waiting[3], int.from_bytes(self._waiting[5:9], "big")
            if kind == HEADERS and self._decoder is not None:
                headers = self._decoder.decode(bytes(self._waiting[HEAD_BYTES:end]), raw=True)
                if (b":path", HEALTH.encode()) in [(bytes(one[0]), bytes(one[1])) for one in headers]:
                    self._health.add(stream)
            if kind == DATA and stream not in self._health:
                body = self._bodies.setdefault(stream, bytearray())
                body += self._waiting[HEAD_BYTES:end]
                self._messages(body)
            del self._waiting[:end]

    def _messages(self, body: bytearray) -> None:
        while len(body) >= PREFIX_BYTES:
            end = PREFIX_BYTES + int.from_bytes(body[1:5], "big")
            if len(body) < end:
                return
            self._found.append(bool(body[0]))
            del body[:end]


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flags: Flags) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        flags.saw(data)
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()
