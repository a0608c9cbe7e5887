"""Whose calls a rate limit counts together, and what a caller is told."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from trunk.policy.v1 import call_state_service_pb2 as state_pb
from trunk.policy.v1 import call_state_service_pb2_grpc as state_grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import ServiceError
from trunkline.overrides import parse
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import BENCH_SETTINGS, Bench, bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, until
from tests.trunkline.interceptors.shapes import send, stranger

ADD, PING = "trunk.testing.v1.EffectService/Add", "trunk.testing.v1.PingService/Ping"
STATE = "trunk.policy.v1.CallStateService"


def settings(**changed: Any) -> Any:
    """Of a server that nobody calls twice by himself."""
    return BENCH_SETTINGS.model_copy(update={"retry_attempts": 1, **changed})


def served(who: Named, clock: FakeClock, **changed: Any) -> Any:
    """A bench with tokens."""
    service = {"verifier": Verifier()}
    return bench(servicers=[Effects()], service=service, credential=who, settings=settings(**changed), clock=clock)


async def adds(on: Bench, count: int, **call: Any) -> int:
    """How many of some calls pass; the others are refused for their number."""
    stub: Any = pb_grpc.EffectServiceStub(on.channel)
    refused: list[ServiceError] = []
    for _ in range(count):
        try:
            await stub.Add(pb.AddRequest(), **call)
        except ServiceError as error:
            refused.append(error)
    told = {(error.code, error.reason, (error.retry_after_s or 0) > 0) for error in refused}
    assert told <= {(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT", True)}
    return count - len(refused)


async def test_the_key_is_the_tokens_tenant(clock: FakeClock):
    """D20: all of a tenant's users and tills share its rate; what a caller writes into metadata gives no other."""
    who = Named("user")
    async with served(who, clock, rate_per_tenant=3.0) as on:
        assert await adds(on, 5) == 3
        who.name = "till"
        assert await adds(on, 1) == 0
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        for forged in (headers.TENANT, headers.CALLER):
            with pytest.raises(ServiceError, match="METADATA_REFUSED"):
                await stub.Add(pb.AddRequest(), metadata=((forged, "rival"),))
        assert await adds(on, 1, metadata=(("x-tenant-id", "rival"),)) == 0
        who.name = "rival"
        assert await adds(on, 5) == 3


async def test_a_service_without_a_tenant_is_counted_by_its_name(clock: FakeClock):
    """And for the tenant where it names one, which only a service may."""
    who = Named("auditor")
    async with served(who, clock, rate_per_tenant=2.0) as on:
        assert await adds(on, 4) == 2
        who.name = "cart"
        assert await adds(on, 4) == 2
        assert await adds(on, 4, metadata=((headers.TENANT, "acme"),)) == 2
        who.name = "user"
        assert await adds(on, 1) == 0


async def test_a_method_has_a_rate_of_its_own(clock: FakeClock):
    """By settings, for each caller; other methods are not counted there, and the tenant's rate holds beside it."""
    who = Named("user")
    calls = parse({ADD: {"rate_per_s": 2}})
    async with served(who, clock, calls=calls) as on:
        assert await adds(on, 4) == 2
        for _ in range(5):
            await send(on.ping, "Ping")
        who.name = "rival"
        assert await adds(on, 4) == 2
        clock.advance(0.5)
        assert await adds(on, 4) == 1


async def test_a_public_method_is_counted_by_address(clock: FakeClock):
    """Nobody says who calls: another connection of the same machine is the same caller."""
    calls = parse({PING: {"rate_per_s": 2}})
    async with bench(settings=settings(calls=calls, rate_per_tenant=1.0), clock=clock) as on:
        codes = []
        for _ in range(3):
            async with stranger(on) as channel:
                stub: Any = pb_grpc.PingServiceStub(channel)
                call = stub.Ping(pb.PingRequest())
                codes.append(await call.code())
        assert codes == [grpc.StatusCode.OK, grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED]


async def test_a_costly_call_counts_for_more(clock: FakeClock):
    """A cost of three of a rate of six: two calls, then half a second."""
    calls = parse({ADD: {"cost": 3}})
    async with served(Named("user"), clock, calls=calls, rate_per_tenant=6.0) as on:
        assert await adds(on, 5) == 2
        clock.advance(0.5)
        assert await adds(on, 5) == 1


async def test_what_is_refused_is_counted_and_told(clock: FakeClock):
    """By method and reason, in metrics and in the state of calls, with the limits as they are."""
    who = Named("user")
    calls = parse({ADD: {"rate_per_s": 2}})
    async with served(who, clock, calls=calls, max_concurrent_calls=40, min_concurrent_calls=8) as on:
        before = METRICS.value("trunkline_server_refused_total", grpc_method=ADD, reason="RATE_LIMIT")
        assert await adds(on, 5) == 2
        assert METRICS.value("trunkline_server_refused_total", grpc_method=ADD, reason="RATE_LIMIT") == before + 3
        assert METRICS.value("trunkline_server_limit", service="ping") == 40
        assert METRICS.value("trunkline_rate_store_redis", service="ping") == 0
        who.name = "cart"
        stub: Any = state_grpc.CallStateServiceStub(on.channel)
        (server,) = (await stub.GetCallState(state_pb.GetCallStateRequest(method=ADD))).servers
        assert (server.limit, server.min_running, server.max_running, server.limited_running) == (40, 8, 40, 0)
        assert server.rate_store == state_pb.ServerState.RATE_STORE_LOCAL
        (method,) = server.methods
        assert (method.rate, method.rate_refusals, method.concurrency_refusals) == (2.0, before + 3, 0)


async def test_a_full_server_tells_how_it_is(clock: FakeClock):
    """Whoever asks for its state is not refused, and does not count."""
    who = Named("user")
    async with served(who, clock, max_concurrent_calls=1) as on:
        running = asyncio.create_task(send(on.ping, "Ping", pb.Behaviour(sleep_ms=20_000)))
        await until(lambda: on.reached.calls["Ping"] == 1)
        with pytest.raises(ServiceError, match="CONCURRENCY_LIMIT"):
            await send(on.ping, "Ping")
        who.name = "cart"
        stub: Any = state_grpc.CallStateServiceStub(on.channel)
        (server,) = (await stub.GetCallState(state_pb.GetCallStateRequest(method=PING))).servers
        assert (server.limited_running, server.limit, server.methods[0].concurrency_refusals > 0) == (1, 1, True)
        running.cancel()
        await asyncio.wait({running})
