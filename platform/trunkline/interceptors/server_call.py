"""One inbound call while the chain serves it, and what its handler sees of grpc."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf.message import Message

from trunkline.call import InboundCall
from trunkline.errors import ServiceError
from trunkline.interceptors.arrivals import Arrivals
from trunkline.method import Method


class ServerCall:
    """One inbound call on its way through the chain."""

    __slots__ = (
        "context",
        "error",
        "handler",
        "inbound",
        "lapse",
        "limit",
        "metadata",
        "method",
        "opening",
        "replied",
        "request",
        "trace",
        "trailers",
    )

    def __init__(
        self,
        method: Method,
        context: Any,
        metadata: dict[str, str | bytes],
        inbound: InboundCall,
        handler: Callable[[Any, Any], Any],
    ) -> None:
        self.method = method
        """What the contract says."""
        self.context = context
        """grpc's own context; speaks bytes."""
        self.metadata = metadata
        """Metadata of the request; the first value of a name."""
        self.inbound = inbound
        """What the handler sees of the call."""
        self.handler = handler
        """The servicer's method."""
        self.request: Any = None
        """Set by the decoding step: the message, or an async iterator of messages."""
        self.trailers: list[tuple[str, str | bytes]] | None = None
        """Sent with an OK status."""
        self.error: ServiceError | None = None
        """What the call ended with, if not OK; for telemetry."""
        self.limit: TimeLimit | None = None
        """Ends it, where the server grants less time than the caller."""
        self.lapse: TimeLimit | None = None
        """Ends a stream whose token is over."""
        self.opening: asyncio.Future[None] | None = None
        """Sends the initial metadata, before there is anything to send after them."""
        self.replied = False
        """Something of the reply was sent."""
        self.trace: Any = None
        """The span of this call, where it is sampled."""

    async def opened(self) -> None:
        """Returns when nothing is being sent that the reply or its end would run into."""
        if self.opening is not None and not self.opening.done():
            await asyncio.wait({self.opening})

    def add_trailers(self, *trailers: tuple[str, str | bytes]) -> None:
        """Adds to what is sent last."""
        self.trailers = [*(self.trailers or ()), *trailers]


class TimeLimit:
    """Cancels the current task after some seconds, or when told. `end` tells it apart from other cancellations."""

    __slots__ = ("_ended", "_expired", "_task", "_timer")

    def __init__(self, seconds: float | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._expired = False
        self._ended: bool | None = None
        self._timer = task.get_loop().call_later(seconds, self.expire) if seconds is not None else None

    def end(self) -> bool:
        """Ends it; whether the time was over, and nobody else has cancelled the task. The same when asked again."""
        if self._ended is None:
            if self._timer is not None:
                self._timer.cancel()
            self._ended = self._expired and self._task.uncancel() == 0
        return self._ended

    def expire(self) -> None:
        """Cancels the task now, once; nothing, where it has ended."""
        if not self._expired and self._ended is None:
            self._expired = True
            self._task.cancel()


class HandlerContext:
    """grpc's context as a servicer sees it: messages instead of bytes, one kind of failure.

    Servicers raise ServiceError; `abort` is here for servicers that were written without this library.
    """

    def __init__(self, call: ServerCall) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call.context, name)

    async def read(self) -> Any:
        """The next message of a request stream, or EOF."""
        self.raise_if_aborted()
        return await anext(self._call.request, grpc.aio.EOF)

    async def write(self, message: Message) -> None:
        """Sends one message of a streaming reply."""
        self.raise_if_aborted()
        call = self._call
        if call.opening is None and not call.replied and (call.lapse is not None or call.limit is not None):
            # Cancelled in the middle of its first message, gRPC would open the reply a second time, fail, and leave the
            # call without a status. What is sent apart, in a task of its own, is never cut.
            call.opening = asyncio.ensure_future(_open(call.context))
        await call.opened()
        call.replied = True
        await call.context.write(message.SerializeToString())

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """What is sent last, however the call ends: also beside a failure, which grpc would send in its place."""
        self._call.trailers = list(trailing_metadata)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> None:
        """Ends the call. A handler that catches this ends it all the same: the failure is remembered."""
        self._call.add_trailers(*trailing_metadata)
        failure = ServiceError(code, "", details)
        # The first failure stands; from here on the call has no effect (see UnitOfWork.run and the client chain).
        self._call.inbound.failure = self._call.inbound.failure or failure
        raise failure

    async def abort_with_status(self, status: grpc.Status) -> None:
        """Ends the call, as abort does."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def raise_if_aborted(self) -> None:
        """Raises the failure again, if the servicer asked for one and went on."""
        if self._call.inbound.failure is not None:
            raise self._call.inbound.failure


async def _open(context: Any) -> None:
    # A handler may have sent its own; a call that is dead tells so at the next step.
    with suppress(grpc.aio.UsageError, grpc.aio.InternalError):
        await context.send_initial_metadata(())


LEFT_S = 0.002
"""Seconds in which the cancellation of a call arrives whose stream of requests has ended."""
DEAD_CALL_S = 1.0
"""Seconds within which the cancellation of a call arrives on which nothing can be sent any more."""


class RequestStream:
    """The messages of a request stream, each decoded as it comes.

    No generator: one that its handler leaves unfinished would have to be closed.
    """

    def __init__(self, call: ServerCall, decode: Callable[[bytes], Message], arrivals: Arrivals | None) -> None:
        """Reads nothing yet.

        Args:
            call: whose messages they are.
            decode: makes one of bytes.
            arrivals: where the first message is waited for; None: it may come as late as it likes.
        """
        self._call = call
        self._decode = decode
        self._arrivals = arrivals

    def __aiter__(self) -> RequestStream:
        return self

    async def __anext__(self) -> Message:
        arrivals, self._arrivals = self._arrivals, None
        raw = await (self._call.context.read() if arrivals is None else arrivals.read(self._call.context))
        if raw is grpc.aio.EOF:
            await self._really_ended()
            raise StopAsyncIteration
        return self._decode(raw)

    async def _really_ended(self) -> None:
        """Returns where the caller has sent all; where it has left, the task is cancelled here.

        gRPC gives the same for both, and the cancellation a moment later: a handler would take half of the requests
        for all. Sending on the call tells: it does not come back before a call that is dead has been cancelled.
        """
        call = self._call
        if call.opening is None and not call.replied:
            # A task of its own: whoever reads may leave, and gRPC cannot be asked twice, nor while it is at it.
            call.opening = asyncio.ensure_future(call.context.send_initial_metadata(()))
        if call.opening is None or call.opening.done():
            # The reply has begun, or this was asked before. A cancellation comes within a turn or two of the loop.
            await asyncio.sleep(LEFT_S)
            return
        try:
            await asyncio.shield(call.opening)
        except grpc.aio.UsageError:
            await asyncio.sleep(LEFT_S)
        except grpc.aio.InternalError:
            await asyncio.sleep(DEAD_CALL_S)
            raise ServiceError(grpc.StatusCode.CANCELLED, "", "the caller has left") from None
