"""One connection of a bad server, and the calls on it: what HTTP/2 allows, and what it does not.

It needs `h2`, which the library does not bring along; it is imported when the first connection comes.
"""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7
"""Types of frames (RFC 9113, 6)."""
END_STREAM, END_HEADERS = 0x1, 0x4
"""Flags of frames."""
_PREFIX_BYTES = 5
_PREFACE_BYTES, _CHUNK_BYTES = 24, 65_536


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame as it stands on the wire, legal or not."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def prefixed(message: bytes, *, compressed: int = 0) -> bytes:
    """A gRPC message: flag, length, bytes."""
    return struct.pack(">BI", compressed, len(message)) + message


class Server(Protocol):
    """Whom a connection tells of what comes."""

    def saw(self, call: BadCall) -> None:
        """A call has begun."""

    def complete(self, call: BadCall) -> None:
        """All of its request is here."""

    def reset(self, call: BadCall) -> None:
        """The client has reset it."""


@dataclass(slots=True)
class BadCall:
    """One call that has reached the server: what came, and the means to answer it badly."""

    connection: BadConnection
    """Connection it came on."""
    stream: int
    """Its HTTP/2 stream."""
    metadata: dict[str, str]
    """Headers of the request."""
    at: float
    """Instant (time.monotonic) at which its headers came."""
    body: bytearray = field(default_factory=bytearray)
    """What came of the request."""
    ended: bool = False
    """Either side has ended it."""

    @property
    def path(self) -> str:
        """Path of the rpc."""
        return self.metadata[":path"]

    @property
    def request(self) -> bytes:
        """The first message, as it was sent."""
        return bytes(self.body[_PREFIX_BYTES : _PREFIX_BYTES + struct.unpack(">I", self.body[1:5])[0]])

    def headers(
        self, *, status: str = "200", content_type: str = "application/grpc", end: bool = False, **more: str
    ) -> None:
        """Sends headers."""
        given = [(":status", status), *([("content-type", content_type)] if content_type else [])]
        self._send([*given, *_named(more).items()], end)

    def trailers(self, grpc_status: str | None = "0", **more: str) -> None:
        """Sends the last headers, with which the stream ends; without a status if there is none."""
        given = {} if grpc_status is None else {"grpc-status": grpc_status}
        self._send([*(given | _named(more) or {"x-empty": "1"}).items()], True)

    def _send(self, headers: list[tuple[str, str]], end: bool) -> None:
        self.connection.h2.send_headers(self.stream, headers, end_stream=end)
        self.ended = self.ended or end
        self.connection.flush()

    async def data(self, raw: bytes) -> None:
        """Sends bytes of the body, as the client's window allows."""
        h2 = self.connection.h2
        for begin in range(0, len(raw), h2.max_outbound_frame_size):
            chunk = raw[begin : begin + h2.max_outbound_frame_size]
            while not self.ended and h2.local_flow_control_window(self.stream) < len(chunk):
                await self.connection.heard()
            if self.ended:
                raise ConnectionResetError("the client has reset the call")
            h2.send_data(self.stream, chunk)
            self.connection.flush()

    def end(self) -> None:
        """Ends the stream without trailers."""
        self.connection.h2.end_stream(self.stream)
        self.ended = True
        self.connection.flush()

    def reset(self, code: int = 0) -> None:
        """Sends RST_STREAM."""
        self.connection.h2.reset_stream(self.stream, code)
        self.ended = True
        self.connection.flush()

    async def answer(self, message: bytes = b"") -> None:
        """Answers as a good server does."""
        self.headers()
        await self.data(prefixed(message))
        self.trailers()


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class BadConnection:
    """One connection of a client."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Of the development dependencies: whoever installs the library has none.
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        # What it sends may be illegal: that is what it is for.
        config = H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2: Any = H2Connection(config)
        """State of the protocol."""
        # Huffman coding of long headers takes Python seconds.
        encoder: Any = self.h2.encoder
        encoder.encode = partial(encoder.encode, huffman=False)
        self.calls: dict[int, BadCall] = {}
        """Calls that came on it."""
        self.pings_out = 0
        """Pings that the client has not answered."""
        self._server = server
        self._reader = reader
        self._writer = writer
        self._heard = asyncio.Event()

    def flush(self) -> None:
        """Sends what stands ready."""
        self._writer.write(self.h2.data_to_send())

    def raw(self, data: bytes) -> None:
        """Sends bytes that nobody has checked."""
        self.flush()
        self._writer.write(data)

    def ping(self) -> None:
        """Sends a PING, and remembers that an answer is owed."""
        self.h2.ping(struct.pack(">Q", time.monotonic_ns()))
        self.pings_out += 1
        self.flush()

    def goaway(self, last_stream: int) -> None:
        """Sends GOAWAY: calls above last_stream were not looked at. The connection stays."""
        self.raw(frame(GOAWAY, 0, 0, struct.pack(">II", last_stream, 0)))

    def close(self) -> None:
        """Closes the connection."""
        with suppress(OSError):
            self.flush()
        self._writer.close()

    def abort(self) -> None:
        """Cuts the connection, whatever was still to be sent."""
        self._writer.transport.abort()

    async def heard(self) -> None:
        """Returns when the client has sent something more."""
        self._heard.clear()
        await self._heard.wait()

    async def preface(self) -> None:
        """Returns when the client has begun to speak."""
        self._take(await self._reader.readexactly(_PREFACE_BYTES))

    def settings(self, values: dict[int, int]) -> None:
        """Sends the SETTINGS that a server begins with."""
        self.h2.initiate_connection()
        if values:
            self.h2.update_settings(values)
        self.flush()

    async def serve(self) -> None:
        """Reads until the client leaves."""
        while not self._writer.is_closing() and (data := await self._reader.read(_CHUNK_BYTES)):
            self._take(data)

    def _take(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self._on(event)
        self.flush()
        self._heard.set()

    def _on(self, event: Any) -> None:
        match type(event).__name__:
            case "RequestReceived":
                call = BadCall(self, event.stream_id, dict(event.headers), time.monotonic())
                self.calls[event.stream_id] = call
                self._server.saw(call)
            case "DataReceived":
                self.calls[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case "StreamEnded":
                self._server.complete(self.calls[event.stream_id])
            case "StreamReset":
                self.calls[event.stream_id].ended = True
                self._server.reset(self.calls[event.stream_id])
            case "PingAckReceived":
                self.pings_out -= 1
