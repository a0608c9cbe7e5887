"""The breaker on the wire: it opens, fails without touching the server, and closes again."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.auth.credential import CredentialAbsent
from trunkline.errors import ServiceError
from trunkline.policies.breaker import BreakerState
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import BENCH_SETTINGS, Bench, bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, until, with_one_attempt, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, UNARY_REQUEST, begin, failing, failure, send

FAULTS = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "DATA_LOSS"]
OPEN_S = 5.0


async def fail_until_open(on: Bench, shape: str, code: grpc.StatusCode = grpc.StatusCode.INTERNAL) -> None:
    """Five failures in a row."""
    for number in range(5):
        error = await failure(on.ping, shape, failing(code, key=f"{shape}-{number}"))
        assert error.reason == "AS_ASKED"
    assert state(on, shape) is BreakerState.OPEN


def state(on: Bench, shape: str) -> BreakerState:
    """What the breaker of a method says."""
    return on.channel.peer.breakers[f"/trunk.testing.v1.PingService/{shape}"].state


@pytest.mark.parametrize("shape", SHAPES)
async def test_opens_fails_at_once_and_closes_again(clock: FakeClock, shape):
    """Five failures open it; then the server's counter stands still; one good probe closes it."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        await fail_until_open(on, shape)
        error = await failure(on.ping, shape)
        assert (error.code, error.reason, error.domain) == (grpc.StatusCode.UNAVAILABLE, "BREAKER_OPEN", "trunk")
        assert error.metadata == {"target": "ping", "method": f"/trunk.testing.v1.PingService/{shape}"}
        clock.advance(OPEN_S - 0.01)
        await failure(on.ping, shape)
        assert on.reached.calls[shape] == 5
        clock.advance(0.01)
        await send(on.ping, shape)
        assert state(on, shape) is BreakerState.CLOSED
        assert on.reached.calls[shape] == 6


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK], ids=str)
async def test_only_the_servers_faults_count(clock: FakeClock, code):
    """A caller's mistake, a refusal or a push-back never opens it, however often it comes."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        for number in range(6):
            error = await failure(on.ping, "Ping", failing(code, key=str(number)))
        assert (error.reason == "BREAKER_OPEN") is (code.name in FAULTS)
        assert on.reached.calls["Ping"] == (5 if code.name in FAULTS else 6)


async def test_each_method_has_its_own(clock: FakeClock):
    """A method that only fails does not stop the others of its service."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        await fail_until_open(on, "Ping")
        assert await send(on.ping, "PingMany")


async def test_attempts_count_and_an_open_breaker_is_not_retried(clock: FakeClock):
    """It stands inside retry: the fifth attempt opens it, and its refusal ends the call."""
    async with bench(clock=clock) as on:
        without_waiting(on)
        errors = []
        for number in range(3):
            clock.advance(2.0)
            errors.append(await failure(on.ping, "Ping", failing(*[grpc.StatusCode.UNAVAILABLE] * 3, key=str(number))))
        assert [error.reason for error in errors] == ["AS_ASKED", "BREAKER_OPEN", "BREAKER_OPEN"]
        assert on.reached.calls["Ping"] == 5


@pytest.mark.parametrize("shape", SHAPES)
async def test_many_callers_and_one_probe(clock: FakeClock, shape):
    """Half-open, exactly one call reaches the server; all others are refused at once."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        await fail_until_open(on, shape)
        clock.advance(OPEN_S)
        slow = pb.Behaviour(sleep_ms=30)
        answers = await asyncio.gather(*(send(on.ping, shape, slow) for _ in range(200)), return_exceptions=True)
        refused = [one for one in answers if isinstance(one, ServiceError)]
        assert len(refused) == 199
        assert {one.reason for one in refused} == {"BREAKER_OPEN"}
        assert on.reached.calls[shape] == 6
        assert state(on, shape) is BreakerState.CLOSED


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_cancelled_probe_gives_its_place_back(clock: FakeClock, shape):
    """A caller that goes away in the middle of the probe does not keep the breaker shut."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        await fail_until_open(on, shape)
        clock.advance(OPEN_S)
        probe = asyncio.create_task(send(on.ping, shape, pb.Behaviour(sleep_ms=20_000)))
        await until(lambda: on.reached.calls[shape] == 6)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert state(on, shape) is BreakerState.HALF_OPEN
        await send(on.ping, shape)
        assert state(on, shape) is BreakerState.CLOSED


@pytest.mark.parametrize(("shape", "told"), [("PingMany", BreakerState.CLOSED), ("PingChat", BreakerState.HALF_OPEN)])
async def test_a_stream_left_early(clock: FakeClock, shape, told):
    """The first answer to a request closes it, however long the stream; a chat left early says nothing."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        await fail_until_open(on, shape)
        clock.advance(OPEN_S)
        call = begin(on.ping, shape)
        assert await call.read()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        assert state(on, shape) is told


async def test_a_stream_that_breaks_counts(clock: FakeClock):
    """Failures after the first message are failures of the server too."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        for number in range(5):
            behaviour = failing(grpc.StatusCode.INTERNAL, key=str(number))
            call = on.ping.PingMany(pb.PingManyRequest(behaviour=behaviour, fail_after=1))
            with pytest.raises(ServiceError, match="AS_ASKED"):
                assert [message async for message in call] == []
        assert state(on, "PingMany") is BreakerState.OPEN


async def test_a_caller_in_a_hurry_does_not_open_it():
    """Calls with less time than any server accepts say nothing about this one; a slow answer does."""
    async with bench() as on:
        with_one_attempt(on)
        for _ in range(10):
            error = await failure(on.ping, "Ping", timeout=0.015)
            assert error.reason == "DEADLINE_EXPIRED"
        slow = pb.Behaviour(sleep_ms=20_000)
        reasons = [(await failure(on.ping, "Ping", slow, timeout=0.03)).reason for _ in range(6)]
        assert reasons == ["DEADLINE_EXPIRED"] * 5 + ["BREAKER_OPEN"]


async def test_a_server_that_is_gone_opens_it(clock: FakeClock):
    """A connection that is refused counts, and is told by name."""
    async with bench(clock=clock) as on:
        with_one_attempt(on)
        await on.server.drain()
        for _ in range(5):
            error = await failure(on.ping, "Ping")
            assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE")
        assert (await failure(on.ping, "Ping")).reason == "BREAKER_OPEN"


class Later(Named):
    """A credential that is not there yet."""

    there = False

    async def token(self) -> str:
        """The name, once it is there."""
        if not self.there:
            raise CredentialAbsent
        return await super().token()


async def test_a_missing_credential_says_nothing_about_the_server(clock: FakeClock):
    """Calls that fail before they are sent do not open it: with a credential, the next call passes."""
    effects, credential = Effects(), Later("user")
    service = {"verifier": Verifier()}
    async with bench(clock=clock, servicers=[effects], service=service, credential=credential) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        for _ in range(10):
            with pytest.raises(ServiceError, match="CREDENTIAL_MISSING"):
                await stub.Add(pb.AddRequest())
        credential.there = True
        await stub.Add(pb.AddRequest())
        assert len(effects.calls) == 1


@pytest.mark.parametrize("shape", UNARY_REQUEST)
async def test_presets_are_chosen_by_name(clock: FakeClock, shape):
    """`three-in-a-minute`: after three failures nothing is sent for a minute."""
    settings = BENCH_SETTINGS.model_copy(update={"breaker": "three-in-a-minute"})
    async with bench(clock=clock, settings=settings) as on:
        with_one_attempt(on)
        for number in range(4):
            await failure(on.ping, shape, failing(grpc.StatusCode.INTERNAL, key=str(number)))
        clock.advance(59.9)
        await failure(on.ping, shape)
        assert on.reached.calls[shape] == 3
        clock.advance(0.1)
        assert await send(on.ping, shape)
