"""A request as no client of gRPC would send it, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from trunkline.testing.fault_proxy import LOOPBACK

HEADERS = {":method": "POST", ":scheme": "http", ":authority": "bench", "te": "trailers"}
CONTENT = {"content-type": "application/grpc"}
_CHUNK_BYTES = 65_536


@dataclass(slots=True)
class RawAnswer:
    """What came."""

    metadata: dict[str, str] = field(default_factory=dict)
    """Headers and trailers, together."""
    body: bytes = b""
    """Messages, with their prefixes."""
    reset: int | None = None
    """Code of HTTP/2 with which the stream was reset; None: it was not."""

    @property
    def told(self) -> str:
        """The status, in short: of gRPC, or of HTTP, or that of the reset."""
        if "grpc-status" in self.metadata:
            return f"grpc {self.metadata['grpc-status']}"
        if self.reset is not None:
            return f"reset {self.reset}"
        return f"http {self.metadata.get(':status', 'none')}"


async def raw_request(port: int, path: str, body: bytes, within_s: float, **headers: str) -> RawAnswer:
    """Sends it on a connection of its own; TimeoutError if the server does not end the stream in time.

    Args:
        port: of the server.
        path: of the rpc, or of nothing.
        body: what stands where messages should stand.
        within_s: seconds for the answer.
        headers: more of them, or others; underscores stand for hyphens, and `METHOD` for the verb.
    """
    given = HEADERS | CONTENT | {":path": path}
    for name, value in headers.items():
        given[":method" if name == "METHOD" else name.replace("_", "-")] = value
    h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8", validate_outbound_headers=False))
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        h2.initiate_connection()
        h2.send_headers(1, list(given.items()), end_stream=not body)
        if body:
            h2.send_data(1, body, end_stream=True)
        writer.write(h2.data_to_send())
        async with asyncio.timeout(within_s):
            return await _answer(h2, reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def _answer(h2: H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> RawAnswer:
    answer = RawAnswer()
    while data := await reader.read(_CHUNK_BYTES):
        for event in h2.receive_data(data):
            match event:
                case ResponseReceived() | TrailersReceived():
                    answer.metadata |= {str(name): str(value) for name, value in event.headers or ()}
                case DataReceived():
                    answer.body += event.data or b""
                case StreamReset():
                    answer.reset = int(event.error_code or 0)
                    return answer
                case StreamEnded():
                    return answer
        writer.write(h2.data_to_send())
    return answer
