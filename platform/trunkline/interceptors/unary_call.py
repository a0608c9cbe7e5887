"""The call object of a unary rpc. Awaited, it runs the chain in the task that awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.message import Message

from trunkline import headers
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.client_call import ClientCall


class Beginnings:
    """Calls made in this turn of the loop. Those that nobody has awaited by its next turn begin then by themselves."""

    def __init__(self) -> None:
        self._made: list[tuple[UnaryUnaryCall, Context]] = []

    def add(self, call: UnaryUnaryCall) -> None:
        """Notes a call; what it does by itself it does in the context it was made in."""
        if not self._made:
            # One for all calls of a turn: asyncio's own bookkeeping for each would cost more than the rest of a call.
            asyncio.get_running_loop().call_soon(self._begin)
        self._made.append((call, copy_context()))

    def _begin(self) -> None:
        made, self._made = self._made, []
        for call, context in made:
            if call.idle:
                context.run(call.start)


class UnaryUnaryCall(grpc.aio.UnaryUnaryCall[Any, Any]):
    """One call, as grpc.aio's, but its failures are ServiceErrors.

    Most calls are awaited where they are made: those run in the caller's own task, which spares a task a call.
    One that is not awaited at once begins all the same, in a task of its own, at the loop's next turn.
    """

    # Of the class: most calls never need others.
    _message: Message | None = None
    _error: BaseException | None = None
    _runner: asyncio.Task[Any] | None = None
    _inline = False
    _cancelled = False
    _waiting: tuple[asyncio.Future[None], ...] = ()
    _callbacks: tuple[Callable[[Any], None], ...] = ()

    def __init__(self, call: ClientCall, proceed: Proceed[ClientCall, Any], beginnings: Beginnings) -> None:
        self._call = call
        self._proceed = proceed
        beginnings.add(self)

    @property
    def idle(self) -> bool:
        """It has not begun."""
        return self._runner is None and self._proceed is not _over

    @property
    def stale_age_s(self) -> float | None:
        """Seconds since the answer was fresh, where a kept one stands in for a failure; None for an answer of now."""
        return self._call.stale_age_s

    def __await__(self) -> Generator[Any, None, Any]:
        if self._runner is None and self._proceed is not _over:
            self._runner, self._inline = asyncio.current_task(), True
            return (yield from self._run().__await__())
        return (yield from self._joined().__await__())

    def start(self) -> None:
        """Begins in a task of its own."""
        self._runner = asyncio.get_running_loop().create_task(self._alone())
        self._runner.add_done_callback(self._ran)

    async def _alone(self) -> None:
        # Whoever asks for the outcome is told; a task that nobody looks at need not complain.
        try:
            await self._run()
        except ServiceError:
            pass
        except Exception:
            if not self._waiting:
                raise

    def _ran(self, _: asyncio.Task[Any]) -> None:
        if not self.done():
            # Cancelled before its first step, a task runs nothing of its coroutine.
            self._cancelled = True
            self._end(asyncio.CancelledError())

    async def _run(self) -> Message:
        try:
            self._message = await self._proceed(self._call)
        except (asyncio.CancelledError, GeneratorExit) as error:
            if self._cancelled and self._inline and self._runner is not None:
                self._runner.uncancel()  # the call was cancelled, not the task that waits for it
            self._cancelled = True
            self._end(error)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        return self._message

    def _end(self, error: BaseException | None) -> None:
        # Not the one that is on its way: its traceback holds the frames that hold this call.
        self._error = replace(error) if isinstance(error, ServiceError) else error
        self._proceed, self._runner = _over, None
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        for callback in self._callbacks:
            try:
                callback(self)
            except Exception as failure:  # noqa: BLE001 - what the callback does wrong is not the call's failure
                context = {"message": "a callback of a call failed", "exception": failure}
                asyncio.get_running_loop().call_exception_handler(context)

    async def _joined(self) -> Message:
        try:
            await self._end_reached()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self._cancelled:
            raise asyncio.CancelledError
        if self._error is not None:
            raise self._error
        assert self._message is not None
        return self._message

    async def _end_reached(self) -> None:
        if not self.done():
            waiter = asyncio.get_running_loop().create_future()
            self._waiting = (*self._waiting, waiter)
            await waiter

    def cancel(self) -> bool:
        """Cancels the call; False if it has ended, or is cancelled already."""
        if self.done() or self._cancelled:
            return False
        self._cancelled = True
        if self._runner is None:
            self._end(asyncio.CancelledError())
        else:
            self._runner.cancel()
        return True

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._proceed is _over

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back with this call when it has ended; at once if it has."""
        if self.done():
            callback(self)
        else:
            self._callbacks = (*self._callbacks, callback)

    def time_remaining(self) -> float | None:
        """Seconds until its deadline, as of the last attempt; None before the first."""
        remaining: float | None = self._call.wire.time_remaining() if self._call.wire is not None else None
        return remaining

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """What the last attempt's server sent first; empty where nothing was sent."""
        await self._end_reached()
        return await self._call.wire.initial_metadata() if self._call.wire is not None else grpc.aio.Metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What the last attempt's server sent last, and the age of an answer that is stale."""
        await self._end_reached()
        found = await self._call.wire.trailing_metadata() if self._call.wire is not None else ()
        trailers = grpc.aio.Metadata(*(found or ()))
        if self.stale_age_s is not None:
            trailers.add(headers.STALE_AGE_MS, str(round(self.stale_age_s * 1000)))
        return trailers

    async def code(self) -> grpc.StatusCode:
        """How it ended."""
        await self._end_reached()
        if self._cancelled:
            return grpc.StatusCode.CANCELLED
        if isinstance(self._error, ServiceError):
            return self._error.code
        return grpc.StatusCode.OK if self._error is None else grpc.StatusCode.UNKNOWN

    async def details(self) -> str:
        """The text of its failure; empty if it went well."""
        await self._end_reached()
        return self._error.message if isinstance(self._error, ServiceError) else ""

    async def wait_for_connection(self) -> None:
        """Returns when it has been answered; raises as awaiting it does."""
        await self._joined()


async def _over(_: ClientCall) -> Any:
    """Stands where the chain stood: a call that has ended holds nothing of it."""
    raise asyncio.InvalidStateError("the call has ended")
