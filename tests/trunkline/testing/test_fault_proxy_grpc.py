"""A proxy before a real gRPC server: what a channel without any policy makes of each fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.testing.fault_modes import Blackhole, CutAfter, Freeze, Half, Latency, Mode, Refuse, Reset, Slicer
from trunkline.testing.fault_proxy import FaultProxy
from trunkline.testing.ping import Reached, bench

from tests.trunkline.interceptors.servicers import until

OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),
)
WITHIN_S = 10.0
SOON_S = 0.3
SLEEPY = pb.Behaviour(sleep_ms=20_000)


@dataclass
class Through:
    """A channel through a proxy to a server."""

    proxy: FaultProxy
    reached: Reached
    stub: pb_grpc.PingServiceAsyncStub

    async def ping(self, value: str = "hello", within_s: float = WITHIN_S, **behaviour: Any) -> str:
        """What comes back."""
        answer: pb.PingResponse = await self.stub.Ping(pb.PingRequest(value=value, **behaviour), timeout=within_s)
        return answer.value

    async def fails(self, **arguments: Any) -> grpc.StatusCode:
        """How a call fails."""
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await self.ping(**arguments)
        return failure.value.code()

    async def is_well(self) -> bool:
        """Waits until a call succeeds. Some may still fail on a connection whose end the channel has not seen yet."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    answer = await self.stub.Ping(pb.PingRequest(value="well"), wait_for_ready=True)
                except grpc.aio.AioRpcError as failure:
                    assert failure.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - any other is a broken message
                else:
                    return bool(answer.value == "well")


@asynccontextmanager
async def through() -> AsyncIterator[Through]:
    """A channel through a proxy to a server, which have not been used."""
    async with (
        bench() as on,
        FaultProxy("127.0.0.1", on.server.port) as proxy,
        grpc.aio.insecure_channel(proxy.target, OPTIONS) as channel,
    ):
        stub: Any = pb_grpc.PingServiceStub(channel)
        yield Through(proxy, on.reached, stub)


@pytest.fixture
async def on() -> AsyncIterator[Through]:
    """A channel that is connected."""
    async with through() as on:
        assert await on.ping() == "hello"
        yield on


async def test_passes_calls(on):
    """Without a fault one connection carries all calls, streams too."""
    assert await asyncio.gather(*[on.ping(str(number)) for number in range(20)]) == [str(n) for n in range(20)]
    answers = [answer.index async for answer in on.stub.PingMany(pb.PingManyRequest(count=200), timeout=WITHIN_S)]
    assert answers == list(range(200))
    assert on.proxy.counts.connections == 1


async def test_latency_is_added_both_ways(on):
    """A call takes at least twice the latency."""
    await on.proxy.set(Latency(0.05, jitter_s=0.01))
    before = time.monotonic()
    assert await on.ping() == "hello"
    assert time.monotonic() - before >= 2 * (0.05 - 0.01)


async def test_slices_are_put_together_again(on):
    """Frames that come in pieces of three bytes are frames all the same."""
    await on.proxy.set(Slicer(3, 0.0001))
    assert await on.ping("a" * 300) == "a" * 300


async def test_reset_in_flight_is_unavailable(on):
    """A call that is under way fails at once with UNAVAILABLE and its handler is cancelled; healed, calls succeed."""
    call = asyncio.create_task(on.fails(behaviour=SLEEPY))
    await until(lambda: on.reached.calls["Ping"] == 2)
    await on.proxy.set(Reset())
    assert await call is grpc.StatusCode.UNAVAILABLE
    await until(lambda: on.reached.cancelled["Ping"] == 1)
    assert await on.fails() is grpc.StatusCode.UNAVAILABLE
    assert on.reached.calls["Ping"] == 2
    await on.proxy.heal()
    assert await on.is_well()


async def test_blackhole_lasts_until_the_deadline(on):
    """Nothing reaches the server and the deadline passes; healed, a new connection serves."""
    await on.proxy.set(Blackhole())
    assert await on.fails(within_s=SOON_S) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert on.reached.calls["Ping"] == 1
    await on.proxy.heal()
    assert await on.is_well()
    assert on.proxy.counts.connections == 2


async def test_a_channel_may_begin_in_a_blackhole():
    """A connection that never got an answer is reset by healing, and the next one serves."""
    async with through() as on:
        await on.proxy.set(Blackhole())
        assert await on.fails(within_s=SOON_S) is grpc.StatusCode.DEADLINE_EXCEEDED
        assert on.proxy.counts.connections >= 1
        await on.proxy.heal()
        assert await on.is_well()
        assert on.reached.calls["Ping"] == 1


async def test_half_lets_the_effect_happen(on):
    """The handler runs and the deadline passes all the same; healed, a new connection serves."""
    await on.proxy.set(Half())
    assert await on.fails(within_s=SOON_S) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert on.reached.calls["Ping"] == 2
    assert on.proxy.counts.dropped_bytes > 0
    await on.proxy.heal()
    assert await on.is_well()
    assert on.proxy.counts.connections == 2


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        (CutAfter(response_bytes=200), 2),
        (CutAfter(request_bytes=0), 1),
        (CutAfter(request_bytes=200), 1),
    ],
)
async def test_cut_connections_are_unavailable(on, mode: Mode, calls: int):
    """Cut in its response a call fails with UNAVAILABLE after its effect, cut in its request before it."""
    await on.proxy.set(mode)
    # Far more than 200 bytes each way, and those are far more than the frames of HTTP/2 that may come before.
    assert await on.fails(value="a" * 1000) is grpc.StatusCode.UNAVAILABLE
    assert on.reached.calls["Ping"] == calls
    await on.proxy.heal()
    assert await on.is_well()


async def test_refused_connections_are_unavailable(on):
    """While nobody listens calls fail with UNAVAILABLE; healed, the channel finds the same port."""
    await on.proxy.set(Refuse())
    assert await on.ping() == "hello"
    await on.proxy.reset_connections()
    assert await on.fails() is grpc.StatusCode.UNAVAILABLE
    assert on.proxy.open_connections == 0
    await on.proxy.heal()
    assert await on.is_well()
    assert on.proxy.counts.connections == 2


async def test_freezing_loses_nothing(on):
    """The deadline passes, and then the same connection serves again."""
    await on.proxy.set(Freeze())
    assert await on.fails(within_s=SOON_S) is grpc.StatusCode.DEADLINE_EXCEEDED
    await on.proxy.heal()
    assert await on.is_well()
    assert (on.proxy.counts.connections, on.proxy.counts.dropped_bytes) == (1, 0)


async def test_faults_in_turn_never_corrupt_a_call(on):
    """Through any series of faults a call succeeds, or fails as unreachable or late: never with a broken message."""
    series: list[Mode] = [Half(), Latency(0.01), Blackhole(), Slicer(5, 0.0001), Reset(), CutAfter(response_bytes=50)]
    for mode in series * 2:
        await on.proxy.set(mode)
        codes = await asyncio.gather(*[code_of(on, number) for number in range(5)])
        assert set(codes) <= {"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
        await on.proxy.heal()
        assert await on.is_well()


async def code_of(on: Through, number: int) -> str:
    """The code of a call whose value is its own."""
    value = f"{number}" * 100
    try:
        assert await on.ping(value, within_s=SOON_S) == value
    except grpc.aio.AioRpcError as failure:
        return failure.code().name
    return "OK"
