"""Hand-made HTTP/2 frames (RFC 9113): a call with headers that no client sends, and a server that goes away."""

from __future__ import annotations

import asyncio
import struct
from contextlib import closing, suppress
from typing import Any, Self

from google.protobuf.message import Message
from trunkline.testing.fault_proxy import LOOPBACK

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
HEAD_BYTES = 9


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame: 24 bits of length, type, flags, stream, payload."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header as HPACK's literal without indexing (RFC 7541, 6.2.2), without Huffman; shorter than 127 bytes."""
    return b"\x00" + b"".join(bytes([len(text)]) + text for text in (name.encode(), value.encode()))


class RawCall:
    """A call on a connection of its own. An async context manager: leaving it closes the connection."""

    def __init__(self, port: int, path: str, request: Message, *, timeout: str) -> None:
        """Sends nothing yet.

        Args:
            port: of the server.
            path: of the rpc.
            request: the message.
            timeout: the `grpc-timeout` header as it stands; empty: none.
        """
        self._port = port
        message = request.SerializeToString()
        headers = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
        headers |= {"content-type": "application/grpc"} | ({"grpc-timeout": timeout} if timeout else {})
        block = b"".join(literal(name, value) for name, value in headers.items())
        self._bytes = PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, block)
        self._bytes += frame(DATA, END_STREAM, 1, struct.pack(">BI", 0, len(message)) + message)
        self._writer: Any = None
        self._reader: Any = None

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        self._writer.write(self._bytes)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ended(self, within_s: float) -> None:
        """Returns when the server has ended the stream; fails if that takes longer."""
        async with asyncio.timeout(within_s):
            while not await self._is_last():
                pass

    async def _is_last(self) -> bool:
        head = await self._reader.readexactly(HEAD_BYTES)
        kind, flags = head[3], head[4]
        payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            self._writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        return kind in (RST_STREAM, GOAWAY) or (kind in (HEADERS, DATA) and bool(flags & END_STREAM))


class GoingAway:
    """A server that closes its first connections before it looks at a call (GOAWAY, last stream 0), then answers."""

    def __init__(self, connections: int) -> None:
        self.seen = 0
        """Calls that came, those among them that were not looked at."""
        self._connections = connections
        self._server: Any = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._ended = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._ended = True
        for _turn in range(5):  # what was accepted in the last moment takes some turns of the loop to be known here
            await asyncio.sleep(0)
        for writer in self._writers:
            writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def target(self) -> str:
        """Its address."""
        return f"{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        if self._ended:  # taken in the last moment
            writer.close()
            return
        self._tasks.add(asyncio.get_running_loop().create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            await reader.readexactly(len(PREFACE))
            writer.write(frame(SETTINGS, 0, 0, b""))
            while True:
                head = await reader.readexactly(HEAD_BYTES)
                payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] in (SETTINGS, PING) and not head[4] & ACK:
                    writer.write(frame(head[3], ACK, 0, payload if head[3] == PING else b""))
                elif head[3] == HEADERS:
                    self._answer(writer, int.from_bytes(head[5:], "big"))

    def _answer(self, writer: asyncio.StreamWriter, stream: int) -> None:
        self.seen += 1
        if self.seen <= self._connections:
            writer.write(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
            return
        begin = literal(":status", "200") + literal("content-type", "application/grpc")
        writer.write(frame(HEADERS, END_HEADERS, stream, begin) + frame(DATA, 0, stream, bytes(5)))
        writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, literal("grpc-status", "0")))
