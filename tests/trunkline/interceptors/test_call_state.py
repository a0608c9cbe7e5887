"""What a process tells of its calls, and to whom (trunk.policy.v1.CallStateService)."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import grpc
import pytest
from trunk.policy.v1 import call_state_service_pb2 as state_pb
from trunk.policy.v1 import call_state_service_pb2_grpc as state_grpc
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.interceptors.peer import living_peers
from trunkline.policies.latency import ENOUGH, SORTED_EVERY
from trunkline.server import Server
from trunkline.service import Service
from trunkline.testing.clock import FakeClock
from trunkline.testing.ping import BENCH_SETTINGS, Bench, PingServicer, Reached, bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, Policies, until, with_one_attempt, without_waiting
from tests.trunkline.interceptors.shapes import failing, failure, send

PING = "trunk.testing.v1.PingService/Ping"
OWN = "trunk.policy.v1.CallStateService/GetCallState"
UNAVAILABLE, INTERNAL = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL
TRUSTING: dict[str, Any] = {"service": {"verifier": Verifier()}, "credential": Named("cart")}
"""A bench that can tell who asks, asked by a service."""


@pytest.fixture(autouse=True)
def _only_this_tests_channels() -> None:
    """Those of other tests are gone: one of them may have had the same port."""
    gc.collect()


async def state(on: Bench, **request: str) -> state_pb.GetCallStateResponse:
    """What the server tells."""
    stub: Any = state_grpc.CallStateServiceStub(on.channel)
    answer: state_pb.GetCallStateResponse = await stub.GetCallState(state_pb.GetCallStateRequest(**request))
    return answer


async def peer(on: Bench, **request: str) -> state_pb.PeerState:
    """What is told of the bench's own channel: its process is both sides."""
    (found,) = [one for one in (await state(on, **request)).peers if one.target == on.channel.peer.target]
    return found


async def method(on: Bench, path: str = PING) -> state_pb.PeerMethodState:
    """What is told of one method."""
    (found,) = (await peer(on, target="ping", method=path)).methods
    return found


async def test_where_nobody_can_prove_to_be_a_service_it_is_not_served():
    """A server without a verifier has no such method."""
    async with bench(credential=Named("cart")) as on:
        with pytest.raises(ServiceError) as refused:
            await state(on)
        assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("who", "code", "reason"),
    [
        ("user", grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED"),
        ("till", grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED"),
        ("nobody", grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"),
    ],
)
async def test_only_services_are_told(who, code, reason):
    """Users, tills and strangers are refused."""
    async with bench(service={"verifier": Verifier()}, credential=Named(who)) as on:
        with pytest.raises(ServiceError) as refused:
            await state(on)
        assert (refused.value.code, refused.value.reason) == (code, reason)


async def test_the_limits_of_the_server_are_told():
    """And how many calls run: the one that asks is among them."""
    settings = BENCH_SETTINGS.model_copy(update={"max_concurrent_calls": 9, "rate_per_tenant": 2.5})
    async with bench(settings=settings, **TRUSTING) as on:
        (server,) = (await state(on)).servers
        assert (server.name, server.running, server.max_running, server.rate_per_tenant) == ("ping", 1, 9, 2.5)


async def test_calls_that_run_are_counted():
    """Two run, one has ended: three more begun, two running."""
    async with bench(**TRUSTING) as on:

        async def served() -> tuple[int, int]:
            (server,) = (await state(on, method=PING)).servers
            return next(((one.calls, one.running) for one in server.methods), (0, 0))

        before, _ = await served()
        await send(on.ping, "Ping")
        running = [asyncio.create_task(send(on.ping, "Ping", pb.Behaviour(sleep_ms=20_000))) for _ in range(2)]
        await until(lambda: on.reached.calls["Ping"] == 3)
        assert await served() == (before + 3, 2)
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await until(lambda: on.reached.cancelled["Ping"] == 2)
        assert await served() == (before + 3, 0)


async def test_the_breaker_of_a_method_is_told(clock: FakeClock):
    """Closed with what it has counted, open with the time until a probe, half-open while one runs."""
    async with bench(clock=clock, **TRUSTING) as on:
        with_one_attempt(on)
        await send(on.ping, "Ping")
        for number in range(4):
            await failure(on.ping, "Ping", failing(INTERNAL, key=str(number)))
        found = await method(on)
        assert found.breaker == state_pb.PeerMethodState.BREAKER_CLOSED
        assert (found.consecutive_failures, found.window_calls, found.window_failures) == (4, 5, 4)
        assert not found.HasField("probe_after")
        await failure(on.ping, "Ping", failing(INTERNAL, key="last"))
        clock.advance(2.0)
        found = await method(on)
        assert found.breaker == state_pb.PeerMethodState.BREAKER_OPEN
        assert found.probe_after.ToTimedelta().total_seconds() == pytest.approx(3.0)
        clock.advance(3.0)
        assert (await method(on)).breaker == state_pb.PeerMethodState.BREAKER_OPEN
        probe = asyncio.create_task(send(on.ping, "Ping", pb.Behaviour(sleep_ms=20_000)))
        await until(lambda: on.reached.calls["Ping"] == 7)
        assert (await method(on)).breaker == state_pb.PeerMethodState.BREAKER_HALF_OPEN
        probe.cancel()
        await asyncio.wait({probe})


async def test_attempts_retries_and_the_budget_are_told(clock: FakeClock):
    """Three attempts of one call, and one of another: two retries, and what may still be repeated."""
    async with bench(clock=clock, **TRUSTING) as on:
        without_waiting(on)
        await send(on.ping, "Ping")
        before = await method(on)
        await send(on.ping, "Ping", failing(UNAVAILABLE, UNAVAILABLE))
        found, whole = await method(on), await peer(on)
        assert (found.attempts - before.attempts, found.retries - before.retries) == (3, 2)
        assert (whole.recent_retries, whole.available_retries) == (2, 0.0)
        assert whole.recent_calls >= 2
        refused = found.refused_retries
        await failure(on.ping, "Ping", failing(UNAVAILABLE, UNAVAILABLE, key="other"))
        assert (await method(on)).refused_retries == refused + 1
        clock.advance(60.0)
        assert ((await peer(on)).recent_retries, (await peer(on)).available_retries) == (0, 2.0)


async def test_kept_answers_and_live_latency_are_told(clock: FakeClock):
    """How many answers are kept, and after how long a hedged method is hedged, once enough were seen."""
    policies = Policies()
    hedged = "trunk.testing.v1.PolicyService/Hedged"

    async def takes(_: int) -> None:
        clock.advance(0.01)

    async with bench(servicers=[policies], clock=clock, **TRUSTING) as on:
        stub: Any = pb_grpc.PolicyServiceStub(on.channel)
        for value in "ab":
            await stub.Cached(pb.CachedRequest(value=value))
        assert (await peer(on)).kept_answers == 2
        policies.inside = takes
        await stub.Hedged(pb.HedgedRequest())
        assert not (await method(on, hedged)).HasField("hedge_after")
        for _ in range(ENOUGH + SORTED_EVERY):
            await stub.Hedged(pb.HedgedRequest())
        assert (await method(on, hedged)).hedge_after.ToTimedelta().total_seconds() == pytest.approx(0.01, abs=1e-5)


async def test_the_connection_is_told():
    """READY while it is connected, and where it leads to."""
    async with bench(**TRUSTING) as on:
        found = await peer(on)
        assert (found.name, found.target) == ("ping", f"dns:///127.0.0.1:{on.server.port}")
        await until(lambda: on.channel.get_state() is grpc.ChannelConnectivity.READY)
        assert (await peer(on)).connectivity == "READY"


async def test_only_what_was_asked_for_is_told():
    """By the name of the target, and of the method."""
    async with bench(**TRUSTING) as on, connect("elsewhere", target="127.0.0.1:1") as _:
        await send(on.ping, "Ping")
        await send(on.ping, "PingAll")
        assert {one.name for one in (await state(on)).peers} >= {"ping", "elsewhere"}
        assert {one.name for one in (await state(on, target="elsewhere")).peers} == {"elsewhere"}
        assert (await state(on, target="nowhere")).peers == []
        told = {one.method for one in (await peer(on)).methods}
        assert {PING, "trunk.testing.v1.PingService/PingAll", OWN} <= told
        assert [one.method for one in (await peer(on, method=PING)).methods] == [PING]


async def test_asking_changes_nothing(clock: FakeClock):
    """An open breaker whose time is over stays open, and gives no probe away to who asks."""
    async with bench(clock=clock, **TRUSTING) as on:
        with_one_attempt(on)
        for number in range(5):
            await failure(on.ping, "Ping", failing(INTERNAL, key=str(number)))
        clock.advance(60.0)
        generation = on.channel.peer.breakers[f"/{PING}"].generation
        for _ in range(3):
            await method(on)
        assert on.channel.peer.breakers[f"/{PING}"].generation == generation
        assert await send(on.ping, "Ping")


async def test_a_channel_that_is_gone_is_not_told():
    """Of a target that nobody calls any more nothing is kept."""
    async with bench(**TRUSTING) as on:
        async with connect("passing", target="127.0.0.1:1"):
            assert [one.name for one in (await state(on, target="passing")).peers] == ["passing"]
        gc.collect()
        assert (await state(on, target="passing")).peers == []
        assert "passing" not in [one.name for one in living_peers()]


async def test_all_services_of_a_process_are_told():
    """Each with its own figures, whichever of them has the verifier."""
    services = [
        Service(name="ping", servicers=[PingServicer(Reached())]),
        Service(name="effects", servicers=[Effects()], verifier=Verifier()),
    ]
    async with (
        Server(services, BENCH_SETTINGS) as server,
        connect("ping", target=f"127.0.0.1:{server.port}", credential=Named("cart")) as channel,
    ):
        stub: Any = state_grpc.CallStateServiceStub(channel)
        told = (await stub.GetCallState(state_pb.GetCallStateRequest())).servers
        assert {one.name: one.running for one in told} == {"ping": 0, "effects": 1}
