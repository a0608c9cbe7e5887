"""A peer that speaks HTTP/2 as it likes (harness P5): calls by the `h2` package, and bytes of its own between them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from trunkline.testing.fault_proxy import LOOPBACK

PING = "/trunk.testing.v1.PingService/Ping"
ADD = "/trunk.testing.v1.EffectService/Add"
ANSWER_S = 20.0
"""Seconds within which a stream must end, unless a test says otherwise."""
Headers = Sequence[tuple[str, str]]


def message(payload: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message: flag, length, payload. The length may be a lie."""
    return struct.pack(">BI", compressed, len(payload) if length is None else length) + payload


def headers_of(path: str = PING, **changed: str | None) -> list[tuple[str, str]]:
    """Headers of a call. Names are changed with `_` for `-`, and `method`, `content_type`, …; None leaves one out."""
    found: dict[str, str | None] = {
        ":method": "POST", ":scheme": "http", ":path": path, ":authority": "x",
        "te": "trailers", "content-type": "application/grpc", "grpc-timeout": "5S",
    }  # fmt: skip
    for name, value in changed.items():
        found[":method" if name == "method" else name.replace("_", "-")] = value
    return [(name, value) for name, value in found.items() if value is not None]


@dataclass(slots=True)
class Outcome:
    """How a stream ended."""

    headers: dict[str, str] = field(default_factory=dict)
    """Headers and trailers."""
    data: bytes = b""
    """Of the answer."""
    reset: int | None = None
    """Code of the RST_STREAM, if that ended it."""
    ended: bool = False
    """The server has ended it, in whatever way."""

    @property
    def status(self) -> int | None:
        """`grpc-status`; None where there was none."""
        value = self.headers.get("grpc-status")
        return None if value is None else int(value)

    @property
    def text(self) -> str:
        """`grpc-message`."""
        return self.headers.get("grpc-message", "")


class Peer:
    """A connection. An async context manager."""

    def __init__(self, port: int) -> None:
        config = h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
        )
        self.http = h2.connection.H2Connection(config)
        """The state of the connection, as a peer has it that keeps to the rules."""
        self.goaway: int | None = None
        """Code of the GOAWAY that the server sent."""
        self.goaway_text = b""
        """What it said with it."""
        self.closed = False
        """The server has closed the connection."""
        self.settings: dict[int, int] = {}
        """What the server has announced."""
        self.pings = 0
        """PINGs of ours that were answered."""
        self._port = port
        self._outcomes: dict[int, Outcome] = {}
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._reader: Any = None
        self._writer: Any = None

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        self.http.initiate_connection()
        self._flush()
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: bool(self.settings) or self.closed)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.transport.abort()

    def open(self, headers: Iterable[tuple[str, str]], *, end: bool = False) -> int:
        """Sends the headers of a new stream; gives its number."""
        stream = self.http.get_next_available_stream_id()
        self._outcomes[stream] = Outcome()
        self.http.send_headers(stream, list(headers), end_stream=end)
        self._flush()
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Sends data as the server's windows allow; stops where the stream is over."""
        sent = 0
        while sent < len(data) and not self.outcome(stream).ended and not self.closed:
            room = min(self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size)
            if room <= 0:
                await self._progress()
                continue
            self.http.send_data(stream, data[sent : sent + room])
            sent += room
            self._flush()
            await self._writer.drain()
        if end and not self.outcome(stream).ended and not self.closed:
            self.http.end_stream(stream)
            self._flush()

    def send_raw(self, data: bytes) -> None:
        """Sends bytes that `h2` knows nothing of."""
        self._writer.write(data)

    async def drained(self) -> None:
        """Returns when the server's side has room for more."""
        await self._writer.drain()

    async def call(self, headers: Iterable[tuple[str, str]], data: bytes = message(b"")) -> Outcome:
        """A whole call."""
        try:
            stream = self.open(headers)
            await self.send(stream, data, end=True)
        except h2.exceptions.ProtocolError:
            return Outcome()  # the server has closed the connection
        return await self.end_of(stream)

    async def end_of(self, stream: int, within_s: float = ANSWER_S) -> Outcome:
        """How the stream ends."""
        await self.until(lambda: self.outcome(stream).ended or self.closed, within_s)
        return self.outcome(stream)

    async def until(self, condition: Callable[[], bool], within_s: float = ANSWER_S) -> None:
        """Returns when a condition of what has come in is true."""
        async with asyncio.timeout(within_s):
            while not condition():
                await self._progress()

    def outcome(self, stream: int) -> Outcome:
        """What has come of a stream so far."""
        return self._outcomes[stream]

    async def _progress(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _flush(self) -> None:
        self._writer.write(self.http.data_to_send())

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(1 << 18):
                for event in self.http.receive_data(data):
                    self._take(event)
                self._flush()
                self._changed.set()
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass  # it is over, and `closed` says so
        finally:
            self.closed = True
            self._changed.set()

    def _take(self, event: Any) -> None:
        match event:
            case h2.events.RemoteSettingsChanged():
                self.settings |= {int(code): one.new_value for code, one in event.changed_settings.items()}
                self.settings.setdefault(0, 0)
            case h2.events.PingAckReceived():
                self.pings += 1
            case h2.events.ConnectionTerminated():
                self.goaway, self.goaway_text = int(event.error_code or 0), event.additional_data or b""
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                self._outcomes[event.stream_id].headers |= {str(name): str(value) for name, value in event.headers}
            case h2.events.DataReceived():
                self._outcomes[event.stream_id].data += event.data
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._outcomes[event.stream_id].ended = True
            case h2.events.StreamReset():
                outcome = self._outcomes[event.stream_id]
                outcome.reset, outcome.ended = int(event.error_code), True
