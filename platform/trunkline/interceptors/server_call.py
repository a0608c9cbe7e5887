"""One inbound call while the chain serves it, and what its handler sees of grpc."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from trunkline.call import InboundCall
from trunkline.errors import ServiceError
from trunkline.method import Method


@dataclass(slots=True)
class ServerCall:
    """One inbound call on its way through the chain."""

    method: Method
    """What the contract says."""
    context: Any
    """grpc's own context; speaks bytes."""
    metadata: dict[str, str | bytes]
    """Metadata of the request; the first value of a name."""
    inbound: InboundCall
    """What the handler sees of the call."""
    handler: Callable[[Any, Any], Any]
    """The servicer's method."""
    request: Any = None
    """Set by the decoding step: the message, or an async iterator of messages."""
    trailers: list[tuple[str, str | bytes]] = field(default_factory=list)
    """Sent with an OK status."""
    error: ServiceError | None = None
    """What the call ended with, if not OK; for telemetry."""


class HandlerContext:
    """grpc's context as a servicer sees it: messages instead of bytes, one kind of failure.

    Servicers raise ServiceError; `abort` is here for servicers that were written without this library.
    """

    def __init__(self, call: ServerCall) -> None:
        self._call = call
        self.failure: ServiceError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call.context, name)

    async def read(self) -> Any:
        """The next message of a request stream, or EOF."""
        self.raise_if_aborted()
        return await anext(self._call.request, grpc.aio.EOF)

    async def write(self, message: Message) -> None:
        """Sends one message of a streaming reply."""
        self.raise_if_aborted()
        await self._call.context.write(message.SerializeToString())

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> None:
        """Ends the call. A handler that catches this ends it all the same: the failure is remembered."""
        self._call.trailers.extend(trailing_metadata)
        self.failure = ServiceError(code, "", details)
        raise self.failure

    async def abort_with_status(self, status: grpc.Status) -> None:
        """Ends the call, as abort does."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def raise_if_aborted(self) -> None:
        """Raises the failure again, if the servicer asked for one and went on."""
        if self.failure is not None:
            raise self.failure


class RequestStream:
    """The messages of a request stream, each decoded as it comes.

    No generator: one that its handler leaves unfinished would have to be closed.
    """

    def __init__(self, read: Callable[[], Awaitable[Any]], decode: Callable[[bytes], Message]) -> None:
        self._read = read
        self._decode = decode

    def __aiter__(self) -> RequestStream:
        return self

    async def __anext__(self) -> Message:
        raw = await self._read()
        if raw is grpc.aio.EOF:
            raise StopAsyncIteration
        return self._decode(raw)
