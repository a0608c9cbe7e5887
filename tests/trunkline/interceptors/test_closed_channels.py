"""What becomes of calls whose channel is closed: before they are made, while they run, and between two attempts."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.policies.breaker import BreakerState
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.trunkline.interceptors.servicers import until, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, begin, failing, failure, finish, send

SLEEPY = pb.Behaviour(sleep_ms=20_000)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_on_a_closed_channel_fails_as_others_do(shape):
    """With ServiceError; nothing was sent, so that it says nothing about the server."""
    async with bench() as on:
        without_waiting(on)
        await on.channel.close()
        for _ in range(6):
            error = await failure(on.ping, shape)
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE")
        assert on.channel.peer.breakers[f"/trunk.testing.v1.PingService/{shape}"].state is BreakerState.CLOSED
        assert not on.reached.calls


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_that_runs_is_cancelled_with_its_channel(shape):
    """Its handler stops; who waits hears CancelledError, as with grpc.aio, and is not cancelled himself."""
    async with bench() as on:
        call = begin(on.ping, shape, SLEEPY)
        waiting = asyncio.create_task(_to_its_end(call, shape))
        await until(lambda: on.reached.calls[shape] == 1)
        await on.channel.close()
        await asyncio.wait({waiting})
        assert (waiting.cancelled(), waiting.cancelling()) == (True, 0)
        assert await call.code() is grpc.StatusCode.CANCELLED
        await until(lambda: on.reached.cancelled[shape] == 1)


async def _to_its_end(call: Any, shape: str) -> None:
    await finish(call, shape)


@pytest.mark.parametrize("awaited", [True, False])
async def test_closed_between_two_attempts(awaited):
    """The next attempt cannot be made: who waits is told, and where nobody does, asyncio has nothing to complain of."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with bench() as on:
        between, go_on = asyncio.Event(), asyncio.Event()

        async def sleep(_: float) -> None:
            between.set()
            await go_on.wait()

        on.channel.peer.sleep = sleep
        call: Any = on.ping.Ping(pb.PingRequest(behaviour=failing(*[grpc.StatusCode.UNAVAILABLE] * 3)))
        await between.wait()
        await on.channel.close()
        go_on.set()
        if awaited:
            with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
                await call
        await until(call.done)
        assert on.reached.attempts["k"] == 1
    del call
    await asyncio.sleep(0)
    assert complaints == []


async def test_the_channel_is_closed_by_its_last_user():
    """Calls of one user go on though another has let go, once or twice; one target has one channel."""
    async with bench() as on:
        other = connect("ping", target=on.channel.peer.target, settings=BENCH_SETTINGS)
        assert other.peer is on.channel.peer
        await other.close()
        await other.close()
        assert await send(on.ping, "Ping")
