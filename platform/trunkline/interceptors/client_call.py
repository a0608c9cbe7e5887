"""One outgoing call, and the reply of one that streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from trunkline.call import InboundCall
from trunkline.errors import PLATFORM_DOMAIN, ServiceError, from_call
from trunkline.method import Method

Metadata = list[tuple[str, str | bytes]]


@dataclass(slots=True)
class ClientCall:
    """One logical call while it is made; its attempts share it."""

    method: Method
    """What the contract says."""
    request: Any
    """The message, or the async iterator of messages."""
    details: grpc.aio.ClientCallDetails
    """As grpc.aio gave them; the wire step fills in what the chain decided."""
    continuation: Callable[..., Awaitable[Any]]
    """Sends one attempt."""
    inbound: InboundCall | None
    """The call whose handler makes this one."""
    deadline: float = 0.0
    """Instant (monotonic) by which it must be answered."""
    metadata: Metadata = field(default_factory=list)
    """Sent with every attempt."""
    attempt_metadata: Metadata = field(default_factory=list)
    """Sent with this attempt only."""
    idempotency_key: str = ""
    """Names this logical call; empty for reads."""
    attempts: int = 0
    """Attempts made so far."""
    wire: Any = None
    """grpc's own call object of the last attempt; None while nothing of it was sent."""


class Reply:
    """A reply that comes after the chain has returned. Policies that must see its end add themselves with on_end."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self._on_end: list[Callable[[ServiceError | None, bool], None]] = []

    def on_end(self, callback: Callable[[ServiceError | None, bool], None]) -> None:
        """Calls back once, with the error if there was one, and whether the call ran to its end."""
        self._on_end.append(callback)

    def _ended(self, error: ServiceError | None, *, complete: bool) -> None:
        callbacks, self._on_end = self._on_end, []
        for callback in callbacks:
            callback(error, complete)


class UnaryReply(Reply):
    """The one message that answers a stream of requests. It is grpc's call, but fails with ServiceError.

    The chain must not wait for it: the requests may still have to be written.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def __await__(self) -> Generator[Any, None, Message]:
        return self._answer().__await__()

    async def _answer(self) -> Message:
        try:
            message: Message = await self._wire
        except grpc.aio.AioRpcError as failure:
            error = error_of(failure)
        except BaseException:
            self._ended(None, complete=False)
            raise
        else:
            self._ended(None, complete=True)
            return message
        self._ended(error, complete=True)
        raise error


class StreamReply(Reply):
    """Messages of a streaming reply."""

    def __init__(self, wire: Any) -> None:
        super().__init__(wire)
        self._first: Message | None = None

    async def start(self) -> None:
        """Waits for the first message, so that a call that fails before it may still be repeated."""
        message = await self._read()
        self._first = None if message is grpc.aio.EOF else message

    async def __aiter__(self) -> AsyncIterator[Message]:
        """The messages. A reader that stops early cancels the call; grpc.aio does not when a loop is left."""
        try:
            if self._first is not None:
                yield self._first
            while (message := await self._read()) is not grpc.aio.EOF:
                yield message
            self._ended(None, complete=True)
        except ServiceError as error:
            self._ended(error, complete=True)
            raise
        except BaseException:
            self._wire.cancel()
            self._ended(None, complete=False)
            raise

    async def _read(self) -> Any:
        try:
            return await self._wire.read()
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None


def error_of(error: grpc.aio.AioRpcError) -> ServiceError:
    """The ServiceError that a failed attempt carries."""
    trailers = error.trailing_metadata()
    failure = from_call(error.code(), error.details(), list(trailers) if trailers is not None else None)
    if not failure.reason and failure.code in _OWN_REASONS:
        # grpc itself gave up, or the peer is not there: nobody sent a reason.
        failure.reason, failure.domain = _OWN_REASONS[failure.code], PLATFORM_DOMAIN
    return failure


_OWN_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXPIRED",
    grpc.StatusCode.UNAVAILABLE: "PEER_UNREACHABLE",
}
