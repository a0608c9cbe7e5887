"""Our client before a bad server, the ways it may call, and the good server that comes after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import PeerChannel, connect
from trunkline.server import Server
from trunkline.service import Service
from trunkline.testing.bad_server import BadServer, Behaviour
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached

from tests.shop.waiting import until
from tests.trunkline.interceptors.people import Named

READY = grpc.ChannelConnectivity.READY
HEAL_S = 10.0
"""Seconds within which the good server must be found: longer than gRPC's longest wait between connections."""


@asynccontextmanager
async def facing(behave: Behaviour, **options: Any) -> AsyncIterator[tuple[BadServer, PeerChannel]]:
    """A bad server and a client of it; afterwards the same client must be answered by a good one on the same port."""
    async with AsyncExitStack() as stack:
        async with BadServer(behave, **options) as bad:
            channel = connect("ping", target=bad.target, settings=BENCH_SETTINGS, credential=Named("user"))
            await stack.enter_async_context(channel)
            yield bad, channel
        assert bad.failures == []
        await until(lambda: channel.get_state() is not READY, "the client has seen that the bad server is gone", HEAL_S)
        good = Service(name="ping", servicers=[PingServicer(Reached())])
        async with Server([good], BENCH_SETTINGS, port=bad.port):
            # Of a method that the test has not called: its breaker is closed.
            stub = pb_grpc.PingServiceStub(channel)
            answers = stub.PingChat(iter([pb.PingChatRequest(value="well")]), timeout=HEAL_S, wait_for_ready=True)
            assert [one.value async for one in answers] == ["well"]


async def _ping(channel: Any, timeout_s: float) -> Any:
    return await pb_grpc.PingServiceStub(channel).Ping(pb.PingRequest(value="v"), timeout=timeout_s)


async def _add(channel: Any, timeout_s: float) -> Any:
    return await pb_grpc.EffectServiceStub(channel).Add(pb.AddRequest(amount=1), timeout=timeout_s)


async def _once(channel: Any, timeout_s: float) -> Any:
    return await pb_grpc.PolicyServiceStub(channel).Once(pb.OnceRequest(value="v"), timeout=timeout_s)


async def _many(channel: Any, timeout_s: float) -> Any:
    request = pb.PingManyRequest(value="v", count=1)
    return [one async for one in pb_grpc.PingServiceStub(channel).PingMany(request, timeout=timeout_s)]


async def _all(channel: Any, timeout_s: float) -> Any:
    return await pb_grpc.PingServiceStub(channel).PingAll(iter([pb.PingAllRequest(value="v")]), timeout=timeout_s)


REPEATED, SINGLE = 3, 1
"""Attempts of a failure that may be repeated: by the policy, and where contract or shape allow none."""
CALLS: dict[str, tuple[Callable[[Any, float], Awaitable[Any]], int]] = {
    "Ping": (_ping, REPEATED),
    "Add": (_add, REPEATED),
    "Once": (_once, SINGLE),
    "PingMany": (_many, REPEATED),
    "PingAll": (_all, SINGLE),
}
"""Ways to call, with the most attempts each may make: a read, a change with its key, a read whose contract allows one
attempt, a stream of answers, and a stream of requests, which nobody can send twice."""
