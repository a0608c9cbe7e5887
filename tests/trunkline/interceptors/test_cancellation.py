"""Whoever cancels is obeyed at once, everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.call import current_call
from trunkline.errors import unavailable
from trunkline.testing.ping import PingServicer, Reached, bench

from tests.trunkline.interceptors.servicers import Hop, until, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, STREAMED_REPLY, begin, failing, finish, send

SLEEPY = pb.Behaviour(sleep_ms=20_000)


@pytest.mark.parametrize("shape", SHAPES)
async def test_cancelling_the_task_reaches_the_handler(shape):
    """The waiting task ends at once with CancelledError, and the handler is cancelled."""
    async with bench() as on:
        task = asyncio.create_task(send(on.ping, shape, SLEEPY))
        await until(lambda: on.reached.calls[shape] == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: on.reached.cancelled[shape] == 1)


@pytest.mark.parametrize("shape", SHAPES)
async def test_cancelling_the_call_reaches_the_handler(shape):
    """`call.cancel()` does the same, and whoever waits for the reply hears of it."""
    async with bench() as on:
        call = begin(on.ping, shape, SLEEPY)
        waiting = asyncio.create_task(finish(call, shape))
        await until(lambda: on.reached.calls[shape] == 1)
        assert call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: on.reached.cancelled[shape] == 1)
        assert call.cancelled()


@pytest.mark.parametrize("shape", SHAPES)
async def test_cancelling_reaches_the_last_hop(shape):
    """A handler that is cancelled takes the calls it makes with it."""
    async with bench() as last, bench(ping=Hop(last.ping)) as edge:
        task = asyncio.create_task(send(edge.ping, shape, SLEEPY))
        await until(lambda: last.reached.calls[shape] == 1)
        task.cancel()
        await until(lambda: last.reached.cancelled[shape] == 1)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_attempt_after_cancelling_in_the_backoff():
    """Cancelled between two attempts, a call makes no other."""
    async with bench() as on:
        waiting = asyncio.Event()

        async def forever(seconds: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        on.channel.peer.sleep = forever
        task = asyncio.create_task(send(on.ping, "Ping", failing(*[grpc.StatusCode.UNAVAILABLE] * 3)))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert on.reached.attempts["k"] == 1


class LateSecond(PingServicer):
    """Fails the first attempt, and keeps the second waiting."""

    def __init__(self) -> None:
        super().__init__(Reached())
        self.calls = 0
        self.cancelled = 0

    async def Ping(self, request: pb.PingRequest, context: Any) -> pb.PingResponse:
        """Never answers."""
        self.calls += 1
        if self.calls == 1:
            raise unavailable("LATER", "not now")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return pb.PingResponse()


async def test_no_attempt_after_cancelling_the_second():
    """Cancelled in its second attempt, a call makes no third, and the second's handler ends."""
    late = LateSecond()
    async with bench(ping=late) as on:
        without_waiting(on)
        task = asyncio.create_task(send(on.ping, "Ping"))
        await until(lambda: late.calls == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: late.cancelled == 1)
        assert late.calls == 2


class Endless(PingServicer):
    """Streams without an end, and notes when it is let go of, and in whose call."""

    def __init__(self) -> None:
        super().__init__(Reached())
        self.let_go: list[str] = []

    async def PingMany(self, request: pb.PingManyRequest, context: Any) -> AsyncIterator[pb.PingManyResponse]:
        """Answers until nobody listens."""
        try:
            while True:
                yield pb.PingManyResponse(value=request.value)
        finally:
            call = current_call()
            self.let_go.append(call.method if call else "")

    async def PingChat(self, request_iterator: Any, context: Any) -> AsyncIterator[pb.PingChatResponse]:
        """Answers the first request without an end."""
        try:
            async for request in request_iterator:
                while True:
                    yield pb.PingChatResponse(value=request.value)
        finally:
            call = current_call()
            self.let_go.append(call.method if call else "")


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_whoever_stops_reading_and_cancels_ends_the_stream(shape):
    """The handler's generator is closed, inside its own call."""
    endless = Endless()
    async with bench(ping=endless) as on:
        call = begin(on.ping, shape)
        seen = 0
        async for _ in call:
            seen += 1
            if seen == 3:
                break
        call.cancel()
        await until(lambda: endless.let_go == [f"/trunk.testing.v1.PingService/{shape}"])


class FirstOnly(PingServicer):
    """Reads one request, however many there are."""

    async def PingAll(self, request_iterator: Any, context: Any) -> pb.PingAllResponse:
        """Answers the first."""
        return pb.PingAllResponse(values=[(await anext(aiter(request_iterator))).value])


async def test_a_handler_may_leave_its_requests_unread():
    """A handler that answers after the first of many requests ends the call for both."""
    async with bench(ping=FirstOnly(Reached())) as on:
        answered = asyncio.Event()

        async def requests() -> AsyncIterator[pb.PingAllRequest]:
            yield pb.PingAllRequest(value="first")
            await answered.wait()

        assert (await on.ping.PingAll(requests())).values == ["first"]
        answered.set()
