"""One outgoing call on its way through the chain, and the reply of one that streams."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.protobuf.message import DecodeError, Message

from trunkline.call import InboundCall
from trunkline.errors import PLATFORM_DOMAIN, ServiceError, from_call, platform_error
from trunkline.method import Method
from trunkline.policies.retry import Failure

Metadata = list[tuple[str, str | bytes]]
STATUS_S = 1.0
"""Seconds in which the status of a call must come after a request could not be written to it."""


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
    names_caller: bool = False
    """The application's metadata say for whom the call is made."""
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


class _ServersStatus:
    """grpc's innermost call object, for calls that send a stream.

    A request that is written while the server ends the call fails, and grpc then overwrites the server's status with
    INTERNAL (grpc/grpc#36066). Here the status that the server has sent, or is about to send, stands. So it does where
    the end of the requests comes too late: grpc raises InternalError then, or cancels the call of an iterator.
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def set_internal_error(self, text: str) -> None:
        """Fails the call, unless its own status comes in time."""
        asyncio.get_running_loop().call_later(STATUS_S, self._fail, text)

    async def send_receive_close(self) -> None:
        """Says that no more requests come; to a call that has ended it makes no difference."""
        with suppress(grpc.aio.InternalError):
            await self._call.send_receive_close()

    def _fail(self, text: str) -> None:
        if not self._call.done():
            self._call.set_internal_error(text)


Ended = Callable[[ServiceError | None, bool], None]
"""Told once how a reply ended: its error if there was one, and whether it ran to its end."""


class Reply:
    """A reply that comes after the chain has returned. Links that must see its end add themselves with on_end."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        """grpc's own call object."""
        if hasattr(wire, "_async_request_poller"):
            wire._cython_call = _ServersStatus(wire._cython_call)
        self.given_up = False
        """The caller has left before its end."""
        self.unreadable: ServiceError | None = None
        """What it failed with here, whatever status the server has sent."""
        self._over = False
        self._on_end: list[Ended] = []

    def on_end(self, callback: Ended) -> None:
        """Calls back once, with the error if there was one, and whether the call ran to its end."""
        self._on_end.append(callback)

    async def failure(self) -> ServiceError | None:
        """The error that the call has ended with; waits for its end. None: it went well."""
        wire = self.wire
        if (code := await wire.code()) is grpc.StatusCode.OK:
            return None
        trailers = await wire.trailing_metadata()
        return error_of(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, await wire.details()))

    def left(self) -> None:
        """Nobody wants the rest: the call is cancelled, and whoever counts on its end is told."""
        if not self._over:
            self.given_up = True
            self.wire.cancel()
            # Who waits there to write is forgotten by grpc when the call is cancelled before its metadata were sent.
            sent = getattr(self.wire, "_metadata_sent", None)
            if sent is not None:
                sent.set()
            self.ended(None, complete=False)

    def __del__(self) -> None:
        # Never awaited, or left in the middle: grpc's own object lives on for as long as the call does.
        with suppress(RuntimeError):  # the loop is closed, and the call with it
            self.left()

    def ended(self, error: ServiceError | None, *, complete: bool) -> None:
        """Tells whoever counts on its end; only the first time counts."""
        self._over = True
        callbacks, self._on_end = self._on_end, []
        for callback in callbacks:
            callback(error, complete)
        # grpc waits for the next request even of a call that has ended: one that never comes would hold a task forever.
        asking = getattr(self.wire, "_async_request_poller", None)
        if asking is not None:
            asking.cancel()


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
            if message is not UNREADABLE:
                self.ended(None, complete=True)
                return message
            error = self.unreadable = unreadable()
        self.ended(error, complete=True)
        raise error


class StreamReply(Reply):
    """Messages of a streaming reply."""

    def __init__(self, wire: Any) -> None:
        super().__init__(wire)
        self._first: Any = None

    async def start(self) -> None:
        """Waits for the first message, so that a call that fails before it may still be repeated."""
        try:
            self._first = await self._receive()
        except asyncio.CancelledError:
            self.left()  # what is cancelled before its first step grpc leaves without a status
            raise

    async def read(self) -> Any:
        """The next message, or EOF; ServiceError if the call failed."""
        if self._first is not None:
            message, self._first = self._first, None
        else:
            try:
                message = await self._receive()
            except ServiceError as error:
                self.ended(error, complete=True)
                raise
            except BaseException:
                self.left()
                raise
        if message is grpc.aio.EOF:
            self.ended(None, complete=True)
        return message

    async def _receive(self) -> Any:
        try:
            message = await self.wire.read()
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None
        if message is UNREADABLE:
            self.wire.cancel()  # what follows is of no use
            self.unreadable = unreadable()
            raise self.unreadable
        return message


UNREADABLE: Any = object()
"""Stands for an answer that is no message of its type."""


def readable(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes | None], Any] | None:
    """A deserializer that gives UNREADABLE instead of raising: grpc logs what it raises, and makes None of the answer.

    None is what grpc has where a server says OK and sends no answer.
    """
    if deserialize is None:
        return None

    def read(raw: bytes | None) -> Any:
        if raw is None:
            return UNREADABLE
        try:
            return deserialize(raw)
        except DecodeError:
            return UNREADABLE

    return read


def unreadable() -> ServiceError:
    """The failure of a call whose answer cannot be read."""
    return platform_error(grpc.StatusCode.INTERNAL, "ANSWER_UNREADABLE", "the answer is not a message of its type")


def error_of(error: grpc.aio.AioRpcError) -> ServiceError:
    """The ServiceError that a failed attempt carries."""
    trailers = error.trailing_metadata()
    failure = from_call(error.code(), error.details(), list(trailers) if trailers is not None else None)
    if not failure.reason and failure.code in _OWN_REASONS:
        # grpc itself gave up, or the peer is not there: nobody sent a reason.
        failure.reason, failure.domain = _OWN_REASONS[failure.code], PLATFORM_DOMAIN
    return failure


def failure_of(error: ServiceError) -> Failure:
    """What the decision needs to know of a failed attempt."""
    return Failure(error.code.name, error.reason, error.retry_after_s, error.exhausted)


_OWN_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXPIRED",
    grpc.StatusCode.UNAVAILABLE: "PEER_UNREACHABLE",
}
