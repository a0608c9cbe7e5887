"""All four RPC shapes through both chains, in every style grpc.aio offers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline import client, server
from trunkline.call import current_call
from trunkline.errors import ServiceError
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.shapes import SHAPES, STREAMED_REPLY, begin, failing, finish, send


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_answer(shape):
    """A call of every shape reaches its handler once and is answered."""
    async with bench() as on:
        answers = await send(on.ping, shape)
        assert len(answers) == (2 if shape == "PingMany" else 1)
        assert on.reached.calls == {shape: 1}


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_call_object_tells_status_and_trailers(shape):
    """What generated code may ask of a call still answers after the chain."""
    async with bench() as on:
        call = begin(on.ping, shape)
        await finish(call, shape)
        assert await call.code() is grpc.StatusCode.OK
        assert await call.details() == ""
        assert call.done()
        assert not call.cancelled()
        assert list(await call.trailing_metadata()) == []


async def test_requests_can_be_written_one_by_one():
    """The reader-writer style works for a stream of requests: the chain does not wait for an answer to come first."""
    async with bench() as on:
        call = on.ping.PingAll()
        for value in ("a", "b", "c"):
            await call.write(pb.PingAllRequest(value=value))
        await call.done_writing()
        assert (await call).values == ["a", "b", "c"]
        assert (await call).values == ["a", "b", "c"]


async def test_a_chat_written_and_read_in_turns():
    """Each answer of a chat comes before the next request is written."""
    async with bench() as on:
        call = on.ping.PingChat()
        for value in ("a", "b"):
            await call.write(pb.PingChatRequest(value=value))
            answer: Any = await call.read()
            assert answer.value == value
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize("shape", SHAPES)
async def test_failures_are_service_errors(shape):
    """No shape lets an AioRpcError through, whichever way its reply is read."""
    async with bench() as on:
        with pytest.raises(ServiceError) as caught:
            await finish(begin(on.ping, shape, failing(grpc.StatusCode.NOT_FOUND)), shape)
        error = caught.value
        assert (error.code, error.reason, error.domain) == (grpc.StatusCode.NOT_FOUND, "AS_ASKED", "trunk.testing")


@pytest.mark.parametrize("shape", STREAMED_REPLY)
async def test_a_stream_that_is_read_by_hand_fails_alike(shape):
    """`read()` raises what iterating raises."""
    async with bench() as on:
        with pytest.raises(ServiceError, match="AS_ASKED"):
            await begin(on.ping, shape, failing(grpc.StatusCode.NOT_FOUND)).read()


async def test_an_empty_stream():
    """A stream without a message ends at once, with status OK."""
    async with bench() as on:
        call = on.ping.PingMany(pb.PingManyRequest(count=0))
        assert [message async for message in call] == []
        assert await call.code() is grpc.StatusCode.OK


async def test_a_long_stream_keeps_its_order():
    """A thousand answers arrive, each in its place."""
    async with bench() as on:
        answers = [one.index async for one in on.ping.PingMany(pb.PingManyRequest(count=1000))]
        assert answers == list(range(1000))


@pytest.mark.parametrize("shape", SHAPES)
async def test_many_calls_at_once(shape):
    """Calls of a method do not share anything but their chain."""
    async with bench() as on:
        await asyncio.gather(*(send(on.ping, shape) for _ in range(50)))
        assert on.reached.calls == {shape: 50}


async def test_outside_the_handler_no_call_is_current():
    """What a call sets for its handler is gone when it ends, on both sides."""
    async with bench() as on:
        await asyncio.gather(*(send(on.ping, shape) for shape in SHAPES))
        assert current_call() is None


def test_the_order_of_both_chains():
    """The order of the links is the design's; each has its reason where it stands."""
    assert [maker.__name__ for maker in client.CLIENT_ORDER] == [
        "telemetry",
        "deadline",
        "cache",
        "retry",
        "breaker",
        "credentials",
        "attempts",
    ]
    assert [maker.__name__ for maker in server.SERVER_ORDER] == [
        "concurrency",
        "telemetry",
        "errors",
        "deadline",
        "authentication",
        "authorization",
        "lapse",
        "rate_limit",
        "validation",
        "intake",
        "idempotency",
    ]
