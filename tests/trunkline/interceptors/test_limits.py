"""What a server sheds, and what a client need not ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.call import InboundCall
from trunkline.errors import ServiceError
from trunkline.interceptors import client_cache
from trunkline.interceptors.answers import ENTRIES
from trunkline.interceptors.arrivals import SHED_RETRY_S
from trunkline.interceptors.client_call import ClientCall
from trunkline.method import method_of
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.trunkline.interceptors.people import EVERYBODY, Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, until
from tests.trunkline.interceptors.shapes import SHAPES, failure, send, stranger


@pytest.mark.parametrize("shape", SHAPES)
async def test_calls_beyond_the_limit_are_shed(shape):
    """Two run; the third is refused at once with a push-back; when one ends there is room again."""
    settings = BENCH_SETTINGS.model_copy(update={"max_concurrent_calls": 2, "retry_attempts": 1})
    async with bench(settings=settings) as on:
        running = [asyncio.create_task(send(on.ping, shape, pb.Behaviour(sleep_ms=20_000))) for _ in range(2)]
        await until(lambda: on.reached.calls[shape] == 2)
        error = await failure(on.ping, shape)
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CONCURRENCY_LIMIT")
        assert error.retry_after_s is not None
        assert SHED_RETRY_S[0] <= error.retry_after_s <= SHED_RETRY_S[1]
        running[0].cancel()
        await until(lambda: on.reached.cancelled[shape] == 1)
        await send(on.ping, shape)
        running[1].cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_health_is_answered_by_a_full_server():
    """Whoever asks whether it lives is not shed."""
    settings = BENCH_SETTINGS.model_copy(update={"max_concurrent_calls": 1})
    async with bench(settings=settings) as on, stranger(on) as channel:
        running = asyncio.create_task(send(on.ping, "Ping", pb.Behaviour(sleep_ms=20_000)))
        await until(lambda: on.reached.calls["Ping"] == 1)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_each_tenant_has_its_share(clock: FakeClock):
    """A tenant that calls too often is told when to come back; others do not notice."""
    settings = BENCH_SETTINGS.model_copy(update={"rate_per_tenant": 2.0, "retry_attempts": 1})
    effects, credential = Effects(), Named("user")
    service = {"verifier": Verifier()}
    async with bench(servicers=[effects], service=service, credential=credential, settings=settings, clock=clock) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        await stub.Add(pb.AddRequest())
        await stub.Add(pb.AddRequest())
        with pytest.raises(ServiceError) as caught:
            await stub.Add(pb.AddRequest())
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMIT")
        assert caught.value.retry_after_s is not None
        assert 0.5 <= caught.value.retry_after_s <= 0.75
        credential.name = "rival"
        await stub.Add(pb.AddRequest())
        credential.name = "till"
        with pytest.raises(ServiceError, match="RATE_LIMIT"):
            await stub.Add(pb.AddRequest())
        clock.advance(0.5)
        await stub.Add(pb.AddRequest())
        for _ in range(10):
            await send(on.ping, "Ping")


class Source:
    """The rest of a client chain: counts what reaches it."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, call: ClientCall) -> pb.PingResponse:
        """Another answer each time."""
        self.calls += 1
        return pb.PingResponse(value=call.request.value, attempt=self.calls)


Ask = Callable[..., Awaitable[pb.PingResponse]]


@pytest.fixture
async def cached(clock: FakeClock) -> Any:
    """Asks for a value through the cache of a method whose answers hold for a minute; and the source behind it."""
    method = replace(method_of("/trunk.testing.v1.PingService/Ping"), cache_ttl_s=60.0)
    async with bench(clock=clock) as on:
        policy = client_cache.cache(method, on.channel.peer)
        assert policy is not None
        source = Source()

        async def ask(value: str, inbound: InboundCall | None = None) -> Any:
            call = ClientCall(method, pb.PingRequest(value=value), source, None, inbound)
            return await policy(call, source)

        yield ask, source, clock


async def test_an_answer_holds_for_its_time(cached):
    """Within the minute the server is not asked again; afterwards it is."""
    ask, source, clock = cached
    assert [(await ask("a")).attempt, (await ask("a")).attempt, (await ask("b")).attempt] == [1, 1, 2]
    clock.advance(60.0)
    assert (await ask("a")).attempt == 3
    assert source.calls == 3


async def test_whoever_changes_an_answer_changes_his_own(cached):
    """Neither the first nor a later reader can spoil the answer for the others."""
    ask, _, _ = cached
    for _ in range(2):
        answer = await ask("a")
        assert answer.value == "a"
        answer.value = "spoilt"
    assert (await ask("a")).value == "a"


async def test_answers_are_kept_for_whom_they_were_given(cached):
    """Another caller, credential or tenant asks for himself."""
    ask, source, _ = cached
    user = EVERYBODY["user"]
    inbounds = [
        None,
        InboundCall("/a", tenant_id="acme"),
        InboundCall("/a", tenant_id="rival"),
        InboundCall("/a", caller=user, tenant_id="acme"),
        InboundCall("/a", caller=replace(user, credential_id="another"), tenant_id="acme"),
        InboundCall("/a", caller=EVERYBODY["reader"], tenant_id="acme"),
    ]
    for inbound in (*inbounds, *inbounds):
        await ask("a", inbound)
    assert source.calls == len(inbounds)


async def test_the_cache_has_room_for_so_many(cached):
    """The least recently used answer leaves; one that was asked for stays."""
    ask, source, _ = cached
    await ask("kept")
    for number in range(ENTRIES - 1):
        await ask(str(number))
    await ask("kept")
    await ask("one more")
    calls = source.calls
    await ask("kept")
    assert source.calls == calls
    await ask("0")
    assert source.calls == calls + 1
