"""One attempt of a unary call, without grpc.aio's own call object and the task in it.

grpc.aio makes a task for every call, so that anybody may await it at any time. An attempt is awaited at once, by the
chain, whose own call object is there for everybody else: the task and what hangs on it are six parts in a hundred of a
bare call, and a good part of what our chains cost. What stands below is private to grpcio, which is pinned to one
version; where it is other than expected here, grpc's own callable is used (ADR 11).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import Any

import grpc

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_LEFT = "the caller has left"


class UnarySender:
    """Makes attempts of one method."""

    def __init__(self, callable_: Any, running: set[UnaryAttempt]) -> None:
        """Takes what it needs from grpc's own callable; AttributeError where that has it no more."""
        self._public = counted(callable_, running)
        self._call = callable_._channel.call
        self._method = callable_._method
        self._handle = callable_._registered_call_handle
        self._serialize = callable_._request_serializer
        self._deserialize = callable_._response_deserializer
        self._running = running

    def __call__(
        self,
        request: Any,
        *,
        timeout: float,
        metadata: tuple[Any, ...],
        wait_for_ready: bool | None = None,
        **options: Any,
    ) -> Any:
        """An attempt, to be awaited once; with options (credentials, compression) it is grpc's own."""
        if options:
            return self._public(request, timeout=timeout, metadata=metadata, wait_for_ready=wait_for_ready, **options)
        deadline = time.time() + timeout
        call = self._call(self._method, deadline, None, wait_for_ready, self._handle)
        raw = request if self._serialize is None else self._serialize(request)
        return UnaryAttempt(call, raw, metadata, self._deserialize, self._running)


class UnaryAttempt:
    """An attempt that is under way once it is awaited."""

    __slots__ = ("_call", "_deserialize", "_metadata", "_request", "_running")

    def __init__(
        self,
        call: Any,
        request: bytes,
        metadata: tuple[Any, ...],
        deserialize: Callable[[bytes], Any] | None,
        running: set[UnaryAttempt],
    ) -> None:
        self._call = call
        self._request = request
        self._metadata = metadata
        self._deserialize = deserialize
        self._running = running

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        call = self._call
        # A channel that is closed cancels what runs on it.
        self._running.add(self)
        try:
            raw = await call.unary_unary(self._request, self._metadata)
        except BaseException:
            self.cancel()
            raise
        finally:
            self._running.discard(self)
        if call.is_ok():
            return raw if self._deserialize is None else self._deserialize(raw)
        if call.is_locally_cancelled():
            raise asyncio.CancelledError
        status = await call.status()
        raise grpc.aio.AioRpcError(
            _CODES[status.code()],
            grpc.aio.Metadata(*(await call.initial_metadata() or ())),
            grpc.aio.Metadata(*(status.trailing_metadata() or ())),
            status.details(),
            status.debug_error_string(),
        )

    def cancel(self) -> bool:
        """Cancels it; False if it has ended."""
        if self._call.done():
            return False
        self._call.cancel(_LEFT)
        return True

    def done(self) -> bool:
        """Whether it has ended."""
        return bool(self._call.done())

    def cancelled(self) -> bool:
        """Whether it ended as cancelled."""
        return bool(self._call.cancelled())

    def time_remaining(self) -> float | None:
        """Seconds until its deadline."""
        remaining: float | None = self._call.time_remaining()
        return remaining

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """What the server sent first."""
        return grpc.aio.Metadata(*(await self._call.initial_metadata() or ()))

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What the server sent last."""
        return grpc.aio.Metadata(*((await self._call.status()).trailing_metadata() or ()))

    async def code(self) -> grpc.StatusCode:
        """How it ended."""
        return _CODES[(await self._call.status()).code()]

    async def details(self) -> str:
        """The text of its status."""
        return str((await self._call.status()).details() or "")


async def end(running: set[UnaryAttempt], grace_s: float | None) -> None:
    """Cancels what runs after grace_s seconds, as a channel of grpc does when it is closed."""
    if running and grace_s:
        await asyncio.wait([asyncio.create_task(attempt.code()) for attempt in running], timeout=grace_s)
    for attempt in tuple(running):
        attempt.cancel()


def unary_sender(callable_: Any, running: set[UnaryAttempt]) -> Callable[..., Any]:
    """The quick way to make attempts of a method, or grpc's own callable where it cannot be had."""
    try:
        return UnarySender(callable_, running)
    except AttributeError:
        return counted(callable_, running)


def counted(callable_: Any, running: set[Any]) -> Callable[..., Any]:
    """Grpc's own callable, with its calls among those that are under way."""

    def send(request: Any, **options: Any) -> Any:
        call = callable_(request, **options)
        running.add(call)
        call.add_done_callback(running.discard)
        return call

    return send
