"""Streams of requests: written one by one, or given as an iterator, which may fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.servicers import Hop, Talker, until
from tests.trunkline.interceptors.shapes import STREAMED_REQUEST, finish

REQUESTS = {"PingAll": pb.PingAllRequest, "PingChat": pb.PingChatRequest}


@pytest.fixture
async def talker() -> Talker:
    """The servicer of `on`."""
    return Talker()


@pytest.fixture
async def on(talker: Talker) -> AsyncIterator[Bench]:
    """A bench with the talker."""
    async with bench(ping=talker) as on:
        yield on


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
@pytest.mark.parametrize("turns", range(5))
async def test_who_writes_to_a_call_that_is_cancelled_is_told(on, shape, turns):
    """Cancelled before it is on its way, a call leaves no writer waiting; one who writes later is told too."""
    call = getattr(on.ping, shape)()
    writing = asyncio.create_task(call.write(REQUESTS[shape](value="v")))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert call.cancel()
    async with asyncio.timeout(3):
        told: Any = await asyncio.gather(writing, return_exceptions=True)
        assert told == [None] or isinstance(told[0], asyncio.CancelledError | asyncio.InvalidStateError)
        with pytest.raises((asyncio.CancelledError, asyncio.InvalidStateError)):
            await call.write(REQUESTS[shape](value="v"))


async def test_requests_are_written_when_the_writer_likes():
    """Written one by one, ended once or twice; after that nothing more can be written."""
    async with bench() as on:
        call: Any = on.ping.PingAll()
        await call.wait_for_connection()
        await call.write(pb.PingAllRequest(value="a"))
        await call.write(pb.PingAllRequest(value="b"))
        await call.done_writing()
        await call.done_writing()
        with pytest.raises(asyncio.InvalidStateError):
            await call.write(pb.PingAllRequest(value="late"))
        assert (await call).values == ["a", "b"]
        assert on.reached.calls["PingAll"] == 2


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_the_end_of_requests_may_come_too_late(on, shape):
    """A call that ends just then has its own status still; grpc.aio alone raises an error of its own there."""
    call: Any = getattr(on.ping, shape)(timeout=0.2)
    await call.wait_for_connection()
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    within: Any = call._call.wire._cython_call
    with pytest.raises(grpc.aio.InternalError):
        await within._call.send_receive_close()
    # What grpc does where it does not know yet that the call is over.
    await within.send_receive_close()
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_a_server_that_is_gone_is_told_to_writers_too(shape):
    """Writing, and waiting for the connection, fail with ServiceError as reading does."""
    async with bench() as on:
        await on.server.drain()
        call = getattr(on.ping, shape)()
        for ask in (call.write(REQUESTS[shape](value="v")), call.wait_for_connection()):
            with pytest.raises(ServiceError) as failed:
                await ask
            assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE")


async def failing(shape: str) -> AsyncIterator[Any]:
    """One request, and then a mistake."""
    yield REQUESTS[shape](value="v")
    raise KeyError("mine")


def failing_at_once(shape: str) -> Iterator[Any]:
    """A mistake, in a plain iterator."""
    yield REQUESTS[shape](value="v")
    raise KeyError("mine")


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
@pytest.mark.parametrize("requests", [failing, failing_at_once])
async def test_requests_that_fail_are_the_callers_own_failure(on, talker, shape, requests):
    """Whoever waits for the answer is told what the iterator raised, and is not cancelled; the server lets go."""
    call = getattr(on.ping, shape)(requests(shape))
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            await _to_its_end(call, shape)
    assert await call.code() is grpc.StatusCode.CANCELLED
    await until(lambda: talker.let_go == talker.begun)


async def _to_its_end(call: Any, shape: str) -> None:
    answers = await finish(call, shape)
    # The talker answers the first request of a chat twice, before the iterator fails.
    raise AssertionError(f"it ended well: {answers}")


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_who_is_cancelled_is_cancelled_though_his_requests_fail_too(on, talker, shape):
    """A task that is cancelled hears of that, whatever its iterator makes of it."""

    async def requests() -> AsyncIterator[Any]:
        yield REQUESTS[shape](value="v")
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("mine")

    task = asyncio.create_task(_to_its_end(getattr(on.ping, shape)(requests()), shape))
    await until(lambda: talker.begun == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: talker.let_go == 1)


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_a_bad_request_that_is_passed_on_is_told_as_such(shape):
    """A handler hands its requests to the next server: the one that breaks the contract is refused as bad, by name."""

    async def requests() -> AsyncIterator[Any]:
        yield REQUESTS[shape](value="v")
        yield REQUESTS[shape](value="x" * 5000)

    async with bench() as last, bench(ping=Hop(last.ping)) as edge:
        with pytest.raises(ServiceError) as refused:
            await finish(getattr(edge.ping, shape)(requests()), shape)
        assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_a_plain_iterator_will_do(shape):
    """As with grpc.aio; what is none is refused where the call is made."""
    async with bench() as on:
        assert await finish(getattr(on.ping, shape)([REQUESTS[shape](value="v")]), shape)
        with pytest.raises(TypeError):
            getattr(on.ping, shape)(7)
        assert on.reached.calls[shape] == 1
