"""Call objects of rpcs that stream. They begin when they are made, in a task of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import grpc
from google.protobuf.message import Message

from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.client_call import ClientCall, Reply, StreamReply, UnaryReply, error_of


class _Given:
    """The requests of a caller's iterator, one by one; remembers what the iterator fails with."""

    def __init__(self, requests: Any) -> None:
        self._failure: Exception | None = None
        self._requests = aiter(requests) if isinstance(requests, AsyncIterable) else iter(requests)

    def __aiter__(self) -> _Given:
        return self

    async def __anext__(self) -> Any:
        try:
            if isinstance(self._requests, AsyncIterator):
                return await anext(self._requests)
            return next(self._requests)
        except (StopAsyncIteration, StopIteration):
            raise StopAsyncIteration from None
        except Exception as error:
            self._failure = error
            raise

    async def blamed(self, reading: Awaitable[Any]) -> Any:
        """What is read; where these requests have failed, their failure: gRPC says only that the call was cancelled."""
        try:
            return await reading
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._failure is None or (task is not None and task.cancelling()):
                raise
            raise self._failure from None


class _Begun:
    """What they have in common: the chain gives a reply, which then goes on without it."""

    def __init__(self, call: ClientCall, proceed: Proceed[ClientCall, Any]) -> None:
        self._call = call
        self._cancelled = False
        if call.method.client_streaming and call.request is not None:
            call.request = _Given(call.request)
        self._beginning: asyncio.Task[Any] = asyncio.get_running_loop().create_task(_begin(proceed, call))
        self._beginning.add_done_callback(_look_at)

    def __del__(self) -> None:
        # Nobody can read it any more. What has begun is let go by its reply; what could not be made has no beginning.
        task: asyncio.Task[Any] | None = getattr(self, "_beginning", None)
        if task is not None and not task.done() and not task.get_loop().is_closed():
            task.cancel()

    async def _reply(self) -> Any:
        task = self._beginning
        if not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                self.cancel()
                raise
        return task.result()

    def _read(self, reading: Awaitable[Any]) -> Awaitable[Any]:
        requests = self._call.request
        return requests.blamed(reading) if isinstance(requests, _Given) else reading

    async def _outcome(self) -> Any:
        """The reply, or the error that stands in its place. Who stops waiting for it does not stop the call."""
        task = self._beginning
        if not task.done():
            await asyncio.wait({task})
        if task.cancelled():
            return ServiceError(grpc.StatusCode.CANCELLED, "", "")
        error = task.exception()
        return error if isinstance(error, ServiceError) else task.result().unreadable or task.result()

    async def _wire(self) -> Any:
        """Of grpc, that of the last attempt; None where nothing was sent."""
        found = await self._outcome()
        return self._call.wire if isinstance(found, ServiceError) else found.wire

    def cancel(self) -> bool:
        """Cancels the call; False if it has ended."""
        if self.done():
            return False
        self._cancelled = True
        if not self._beginning.done():
            self._beginning.cancel()
        else:
            self._beginning.result().left()
        return True

    def cancelled(self) -> bool:
        """Whether its caller has cancelled or left it. A server that says CANCELLED has failed."""
        return self._cancelled or (self._has_begun() and bool(self._beginning.result().given_up))

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        if not self._beginning.done():
            return False
        return self._cancelled or not self._has_begun() or bool(self._beginning.result().wire.done())

    def _has_begun(self) -> bool:
        task = self._beginning
        return task.done() and not task.cancelled() and task.exception() is None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back with this call when it has ended; at once if it has."""

        def begun(task: asyncio.Task[Any]) -> None:
            if task.cancelled() or task.exception() is not None:
                callback(self)
            else:
                task.result().wire.add_done_callback(lambda _: callback(self))

        self._beginning.add_done_callback(begun)

    def time_remaining(self) -> float | None:
        """Seconds until its deadline, as of the last attempt; None before the first."""
        remaining: float | None = self._call.wire.time_remaining() if self._call.wire is not None else None
        return remaining

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """What the server sent first; empty where nothing was sent."""
        wire = await self._wire()
        found: grpc.aio.Metadata = await wire.initial_metadata() if wire is not None else grpc.aio.Metadata()
        return found

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What the server sent last; waits for the end."""
        wire = await self._wire()
        trailers: grpc.aio.Metadata = await wire.trailing_metadata() if wire is not None else grpc.aio.Metadata()
        return trailers

    async def code(self) -> grpc.StatusCode:
        """How it ended; waits for the end."""
        found = await self._outcome()
        code: grpc.StatusCode = found.code if isinstance(found, ServiceError) else await found.wire.code()
        return code

    async def details(self) -> str:
        """The text of its failure; empty if it went well."""
        found = await self._outcome()
        return found.message if isinstance(found, ServiceError) else str(await found.wire.details() or "")

    async def wait_for_connection(self) -> None:
        """Returns when it is on its way; ServiceError if it failed before."""
        reply: Reply = await self._reply()
        try:
            await reply.wire.wait_for_connection()
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from None


async def _begin(proceed: Proceed[ClientCall, Any], call: ClientCall) -> Any:
    # Not a method: a call object that nobody holds any more must be free to go.
    return await proceed(call)


def _look_at(task: asyncio.Task[Any]) -> None:
    # A failure is told to whoever reads; asyncio need not complain about one that nobody reads.
    if not task.cancelled():
        task.exception()


class _Answers(_Begun):
    """Reading a stream of answers."""

    async def read(self) -> Any:
        """The next answer, or EOF; ServiceError if the call failed."""
        reply: StreamReply = await self._reply()
        return await self._read(reply.read())

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The answers. A reader that stops early cancels the call; grpc.aio does not when a loop is left."""
        reply: StreamReply = await self._reply()
        try:
            while (message := await self._read(reply.read())) is not grpc.aio.EOF:
                yield message
        except GeneratorExit:
            reply.left()
            raise


class _Requests(_Begun):
    """Writing a stream of requests, where the caller gave no iterator."""

    async def write(self, request: Message) -> None:
        """Sends one request; ServiceError if the call has failed."""
        reply: Reply = await self._reply()
        try:
            await reply.wire.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            if reply.given_up or not reply.wire.done() or (failure := await reply.failure()) is None:
                raise
            reply.ended(failure, complete=True)
            raise failure from None

    async def done_writing(self) -> None:
        """No more requests come."""
        await (await self._reply()).wire.done_writing()


class UnaryStreamCall(_Answers, grpc.aio.UnaryStreamCall[Any, Any]):
    """A stream of answers to one request."""


class StreamUnaryCall(_Requests, grpc.aio.StreamUnaryCall[Any, Any]):
    """One answer to a stream of requests."""

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Message:
        reply: UnaryReply = await self._reply()
        message: Message = await self._read(reply.message())
        return message


class StreamStreamCall(_Answers, _Requests, grpc.aio.StreamStreamCall[Any, Any]):
    """A stream of answers to a stream of requests."""
