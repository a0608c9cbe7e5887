"""Old answers that stand in where the server cannot be had, and what tells that they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.client import Read, read
from trunkline.errors import ServiceError
from trunkline.policies.breaker import BreakerState
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.servicers import Policies, until, with_one_attempt

METHOD = "/trunk.testing.v1.PolicyService/Cached"
REQUEST = pb.CachedRequest(value="a")
TTL_S, STALE_S = 5.0, 60.0
REPLACED = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "DATA_LOSS"}


class Aging:
    """A bench that has given one answer, and whose server then fails, or is stuck, as it is told."""

    def __init__(self, on: Bench, clock: FakeClock, servicer: Policies) -> None:
        self.on = on
        self.clock = clock
        self.servicer = servicer
        self.stub: Any = pb_grpc.PolicyServiceStub(on.channel)
        self.code: grpc.StatusCode | None = None
        self.stuck = False

    async def __call__(self, number: int) -> None:
        """Inside the handler."""
        if self.stuck:
            await asyncio.Event().wait()
        if self.code is not None:
            raise ServiceError(self.code, "AS_ASKED", "the test asked for this")

    async def read(self, **options: Any) -> Read[Any]:
        """The answer, and whether it is stale."""
        return await read(self.stub.Cached, REQUEST, **options)

    async def refused(self, **options: Any) -> ServiceError:
        """What the call fails with."""
        with pytest.raises(ServiceError) as failed:
            await self.stub.Cached(REQUEST, **options)
        return failed.value


@pytest.fixture
async def aging(clock: FakeClock) -> AsyncIterator[Aging]:
    """An answer that was given when the clock stood where it stands."""
    servicer = Policies()
    async with bench(servicers=[servicer], clock=clock) as on:
        with_one_attempt(on)
        servicer.inside = aging = Aging(on, clock, servicer)
        assert (await aging.stub.Cached(REQUEST)).serial == 1
        yield aging


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=str)
async def test_what_an_old_answer_stands_in_for(aging, code):
    """Where the server could not be had; what it says of the request itself is never replaced."""
    aging.clock.advance(TTL_S)
    aging.code = code
    if code.name in REPLACED:
        found = await aging.read()
        assert (found.message.serial, found.stale, found.stale_age_s) == (1, True, TTL_S)
    else:
        assert (await aging.refused()).code is code


async def test_a_stale_answer_tells_its_age(aging):
    """By attribute, by a trailer in milliseconds, and in what is counted; the call itself went well."""
    told = METRICS.client("ping", METHOD)
    before, ended = told.cache["stale"], METRICS.value("grpc_client_call_duration_seconds_count", grpc_status="OK")
    aging.clock.advance(12.3456)
    aging.code = grpc.StatusCode.UNAVAILABLE
    call = aging.stub.Cached(REQUEST)
    assert (await call).serial == 1
    assert call.stale_age_s == pytest.approx(12.3456)
    assert dict(await call.trailing_metadata())[headers.STALE_AGE_MS] == "12346"
    assert await call.code() is grpc.StatusCode.OK
    assert told.cache["stale"] == before + 1
    assert METRICS.value("grpc_client_call_duration_seconds_count", grpc_status="OK") == ended + 1


async def test_an_answer_within_its_time_is_not_stale(aging):
    """Nor is one that was just given. The server is not asked again, so that its failure does not show."""
    fresh = await read(aging.stub.Cached, pb.CachedRequest(value="b"))
    assert (fresh.message.value, fresh.stale, fresh.stale_age_s) == ("b", False, None)
    aging.code = grpc.StatusCode.UNAVAILABLE
    aging.clock.advance(TTL_S - 0.001)
    assert not (await aging.read()).stale


async def test_it_stands_in_for_so_long_and_no_longer(aging):
    """A minute after its time it is worth nothing; the failure is told."""
    aging.code = grpc.StatusCode.UNAVAILABLE
    aging.clock.advance(TTL_S + STALE_S - 0.001)
    assert (await aging.read()).stale_age_s == pytest.approx(TTL_S + STALE_S - 0.001)
    aging.clock.advance(0.001)
    assert (await aging.refused()).reason == "AS_ASKED"


async def test_a_stale_answer_is_not_made_fresh(aging):
    """Every call asks the server again, and the first that succeeds has an answer of now."""
    aging.clock.advance(TTL_S)
    aging.code = grpc.StatusCode.UNAVAILABLE
    assert [(await aging.read()).stale_age_s, (await aging.read()).stale_age_s] == [TTL_S, TTL_S]
    aging.code = None
    found = await aging.read()
    assert (found.message.serial, found.stale) == (4, False)


async def test_an_open_breaker_is_stood_in_for(aging):
    """Nothing is sent, and the old answer is given as long as it may."""
    aging.clock.advance(TTL_S)
    aging.code = grpc.StatusCode.UNAVAILABLE
    for _ in range(5):
        await aging.read()
    assert aging.on.channel.peer.breakers[METHOD].state is BreakerState.OPEN
    assert (await aging.read()).stale
    aging.on.channel.peer.answers.forget()
    assert (await aging.refused()).reason == "BREAKER_OPEN"


async def test_a_server_that_is_too_slow_is_stood_in_for(aging):
    """The caller waits as long as it asked for, and then has the old answer."""
    aging.clock.advance(TTL_S)
    aging.stuck = True
    assert (await aging.read(timeout=0.1)).stale_age_s == TTL_S
    await until(lambda: aging.servicer.cancelled == 1)


async def test_all_who_wait_get_the_old_answer(aging):
    """One call fails for all of them, and each is told the age."""
    aging.clock.advance(TTL_S)
    aging.code = grpc.StatusCode.UNAVAILABLE
    found = await asyncio.gather(*(aging.read() for _ in range(10)))
    assert [one.stale_age_s for one in found] == [TTL_S] * 10
    aging.code = None
    assert (await aging.read()).message.serial == 3


async def test_an_event_leaves_nothing_to_stand_in(aging):
    """What an event has made void is not given, however the server fails."""
    aging.clock.advance(TTL_S)
    aging.code = grpc.StatusCode.UNAVAILABLE
    aging.on.channel.peer.answers.forget("bench_changed")
    assert (await aging.refused()).reason == "AS_ASKED"


async def test_a_caller_that_leaves_gets_nothing(aging):
    """Cancelled is cancelled: there is nobody to give an old answer to."""
    aging.clock.advance(TTL_S)
    aging.stuck = True
    call = aging.stub.Cached(REQUEST)
    await until(lambda: aging.servicer.calls == 2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert call.stale_age_s is None
