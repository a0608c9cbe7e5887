"""One outgoing call on its way through the chain, and the reply of one that streams."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

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
    """What the contract says, with what settings override."""
    request: Any
    """The message, or the async iterator of messages, or None for one whose requests are written."""
    send: Callable[..., Any]
    """grpc's own callable: makes one attempt."""
    timeout_s: float | None
    """What the application asks for, in seconds."""
    inbound: InboundCall | None
    """The call whose handler makes this one."""
    options: dict[str, Any] | None = None
    """Further arguments for grpc: credentials, wait_for_ready, compression."""
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
    trace: Any = None
    """The span of this call, where it is sampled."""
    stale_age_s: float | None = None
    """Seconds since the answer was fresh, where it stands in for a failure; None for an answer of now."""

    def fork(self) -> Self:
        """The same call, for an attempt that runs beside others."""
        twin = copy.copy(self)
        twin.attempt_metadata, twin.wire = [], None
        return twin


class Sent(grpc.aio.Metadata):
    """Metadata to be sent, as it is. grpc's own class sorts it by name first, at some cost per header."""

    def __init__(self, items: tuple[tuple[str, str | bytes], ...]) -> None:
        # Not grpc's own __init__, which makes what only its lookups by name need.
        self._items = items

    def __iter__(self) -> Any:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


Ended = Callable[[ServiceError | None, bool], None]
"""Told once how a reply ended: its error if there was one, and whether it ran to its end."""


class Reply:
    """A reply that comes after the chain has returned. Links that must see its end add themselves with on_end."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        """grpc's own call object."""
        self._on_end: list[Ended] = []

    def on_end(self, callback: Ended) -> None:
        """Calls back once, with the error if there was one, and whether the call ran to its end."""
        self._on_end.append(callback)

    def left(self) -> None:
        """Nobody wants the rest: the call is cancelled, and whoever counts on its end is told."""
        self.wire.cancel()
        self._ended(None, complete=False)

    def __del__(self) -> None:
        # Never awaited, or left in the middle: what its links hold is given back all the same.
        if self._on_end:
            self._ended(None, complete=False)

    def _ended(self, error: ServiceError | None, *, complete: bool) -> None:
        callbacks, self._on_end = self._on_end, []
        for callback in callbacks:
            callback(error, complete)


class UnaryReply(Reply):
    """The one message that answers a stream of requests.

    The chain must not wait for it: the requests may still have to be written.
    """

    async def message(self) -> Message:
        """The answer; ServiceError if there is none."""
        try:
            message: Message = await self.wire
        except grpc.aio.AioRpcError as failure:
            error = error_of(failure)
        except BaseException:
            self.left()
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
        self._first: Any = None

    async def start(self) -> None:
        """Waits for the first message, so that a call that fails before it may still be repeated."""
        self._first = await self._receive()

    async def read(self) -> Any:
        """The next message, or EOF; ServiceError if the call failed."""
        if self._first is not None:
            message, self._first = self._first, None
        else:
            try:
                message = await self._receive()
            except ServiceError as error:
                self._ended(error, complete=True)
                raise
            except BaseException:
                self.left()
                raise
        if message is grpc.aio.EOF:
            self._ended(None, complete=True)
        return message

    async def _receive(self) -> Any:
        try:
            return await self.wire.read()
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
