"""What each fault does to an attempt, on all four shapes, and what the chain makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import ServiceError
from trunkline.policies.breaker import BreakerState
from trunkline.testing.clock import FakeClock
from trunkline.testing.fault_wires import Lost, failed
from trunkline.testing.faults import Fault, FaultPlan, drop_after_effect, duplicate, hang, latency, ok, status
from trunkline.testing.ping import Bench, bench

from tests.trunkline.interceptors.people import Named, Verifier
from tests.trunkline.interceptors.servicers import Effects, until, with_one_attempt, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, STREAMED_REPLY, STREAMED_REQUEST, UNARY_REQUEST, begin, send
from tests.trunkline.interceptors.shapes import failure as failure_of

pytest_plugins = ["trunkline.testing.fixtures"]
pytestmark = pytest.mark.usefixtures("no_leaks")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
LOST = ("UNAVAILABLE", "trunk", "PEER_UNREACHABLE")
EXPIRED = ("DEADLINE_EXCEEDED", "trunk", "DEADLINE_EXPIRED")


def told(error: ServiceError) -> tuple[str, str, str]:
    """What a caller branches on."""
    return error.code.name, error.domain, error.reason


@pytest.fixture
async def on(clock: FakeClock, faults: FaultPlan) -> AsyncIterator[Bench]:
    """A bench whose channel follows the plan and waits in no time."""
    async with bench(clock=clock, faults=faults) as on:
        without_waiting(on)
        yield on


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_status_without_sending(on: Bench, faults: FaultPlan, shape: str):
    """The call fails with code and reason, in the domain of the method's package, and nothing reaches the server."""
    faults.always(shape, status(grpc.StatusCode.NOT_FOUND, "AS_ASKED"))
    error = await failure_of(on.ping, shape)
    assert told(error) == ("NOT_FOUND", "trunk.testing", "AS_ASKED")
    assert (faults.attempts[shape], faults.sent[shape], on.reached.calls.total()) == (1, 0, 0)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_server_that_is_not_there(on: Bench, faults: FaultPlan, shape: str):
    """UNAVAILABLE without a reason is what grpc says of a dead peer: repeated where there is something to repeat."""
    faults.on(shape, status(UNAVAILABLE))
    if shape in UNARY_REQUEST:
        await send(on.ping, shape)
        assert on.reached.calls[shape] == 1
    else:
        assert told(await failure_of(on.ping, shape)) == LOST
    assert faults.attempts[shape] - faults.sent[shape] == 1


async def test_no_reason(on: Bench, faults: FaultPlan):
    """A status without a reason is that of a server that knows nothing of ours: no reason, and no domain."""
    faults.on("Ping", status(grpc.StatusCode.NOT_FOUND))
    assert told(await failure_of(on.ping, "Ping")) == ("NOT_FOUND", "", "")


async def test_a_reason_of_the_platform(on: Bench, faults: FaultPlan):
    """A reason that the platform reports comes with its domain, as from a server that sheds load."""
    with_one_attempt(on)
    faults.on("Ping", status(grpc.StatusCode.RESOURCE_EXHAUSTED, "CONCURRENCY_LIMIT", pushback_s=0.1))
    error = await failure_of(on.ping, "Ping")
    assert told(error) == ("RESOURCE_EXHAUSTED", "trunk", "CONCURRENCY_LIMIT")
    assert error.retry_after_s == 0.1


@pytest.mark.parametrize(("pushback_s", "waited"), [(0.25, [0.25]), (-1.0, [])])
async def test_push_back_is_obeyed(on: Bench, faults: FaultPlan, pushback_s: float, waited: list[float]):
    """A server that asks to come back later is asked again then; one that asks not to come back is not."""
    sleeps = without_waiting(on)
    faults.on("Ping", status(UNAVAILABLE, pushback_s=pushback_s))
    if waited:
        await send(on.ping, "Ping")
    else:
        assert told(await failure_of(on.ping, "Ping")) == LOST
    assert sleeps.waited == waited


async def test_ok_is_no_failure():
    """A status of OK is refused where it is planned."""
    with pytest.raises(ValueError, match="OK is no failure"):
        status(grpc.StatusCode.OK)


async def test_breakers_open(on: Bench, faults: FaultPlan):
    """Faults count as failures of the server, though nothing was sent: the breaker opens, and attempts end."""
    with_one_attempt(on)
    faults.always("Ping", status(UNAVAILABLE))
    errors = [await failure_of(on.ping, "Ping") for _ in range(20)]
    assert errors[-1].reason == "BREAKER_OPEN"
    assert on.channel.peer.breakers["/trunk.testing.v1.PingService/Ping"].state is BreakerState.OPEN
    assert faults.attempts["Ping"] < 20


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_lost_reply(on: Bench, faults: FaultPlan, shape: str):
    """The handler runs to its end, nothing of its reply arrives, and the call object says so."""
    with_one_attempt(on)
    faults.on(shape, drop_after_effect())
    call = begin(on.ping, shape)
    with pytest.raises(ServiceError) as caught:
        await (call.read() if shape in STREAMED_REPLY else call)
    assert told(caught.value) == LOST
    assert (on.reached.calls[shape], on.reached.cancelled[shape], faults.sent[shape]) == (1, 0, 1)
    assert (await call.code(), list(await call.trailing_metadata())) == (UNAVAILABLE, [])


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_lost_reply_is_fetched_again(on: Bench, faults: FaultPlan, shape: str):
    """Reads are repeated, streams of replies from their beginning; streams of requests fail."""
    faults.on(shape, drop_after_effect())
    if shape in STREAMED_REQUEST:
        assert told(await failure_of(on.ping, shape)) == LOST
    else:
        assert len(await send(on.ping, shape)) == (2 if shape == "PingMany" else 1)
    assert on.reached.calls[shape] == faults.sent[shape] == (1 if shape in STREAMED_REQUEST else 2)


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_a_lost_reply_to_written_requests(on: Bench, faults: FaultPlan, shape: str):
    """Requests are written to the real call, and nothing of what is said to them arrives."""
    faults.on(shape, drop_after_effect())
    call = getattr(on.ping, shape)()
    request = pb.PingAllRequest(value="v") if shape == "PingAll" else pb.PingChatRequest(value="v")
    await call.write(request)
    await call.write(request)
    await call.done_writing()
    with pytest.raises(ServiceError) as caught:
        await (call.read() if shape in STREAMED_REPLY else call)
    assert told(caught.value) == LOST
    assert on.reached.calls[shape] == 2


async def test_a_failure_is_lost_too(on: Bench, faults: FaultPlan):
    """What the server answers does not matter where nothing arrives, its trailers included."""
    with_one_attempt(on)
    faults.on("Ping", drop_after_effect())
    call = begin(on.ping, "Ping", pb.Behaviour(raise_text="no"))
    assert (await call.code(), list(await call.trailing_metadata())) == (UNAVAILABLE, [])
    with pytest.raises(ServiceError, match="PEER_UNREACHABLE"):
        await call


def test_a_lost_call_is_the_real_one():
    """What the chain sets on the call object that stands in reaches grpc's own, which heeds it."""
    wire = SimpleNamespace(patched=False)
    Lost(wire, failed(UNAVAILABLE, ""), streams=False).patched = True
    assert wire.patched


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_deadline_comes_before_a_lost_reply(on: Bench, faults: FaultPlan, shape: str):
    """A server that takes too long is given up at the deadline, whether or not its reply would have been lost."""
    faults.on(shape, drop_after_effect())
    error = await failure_of(on.ping, shape, pb.Behaviour(sleep_ms=60_000), timeout=0.1)
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: on.reached.cancelled[shape] == 1)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_cancel_reaches_the_handler(on: Bench, faults: FaultPlan, shape: str):
    """While a reply that will be lost is waited for, a cancel goes through to the server."""
    faults.on(shape, drop_after_effect())
    call = begin(on.ping, shape, pb.Behaviour(sleep_ms=60_000))
    reading = asyncio.ensure_future(_received(call, shape))
    await until(lambda: on.reached.calls[shape] == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await call.code() is grpc.StatusCode.CANCELLED
    await until(lambda: on.reached.cancelled[shape] == 1)


async def _received(call: Any, shape: str) -> Any:
    return await (call.read() if shape in STREAMED_REPLY else call)


@pytest.mark.parametrize("shape", SHAPES)
async def test_latency(on: Bench, faults: FaultPlan, clock: FakeClock, shape: str):
    """A request that was long under way arrives with less time left, and no real time passes."""
    began = clock.monotonic()
    faults.on(shape, latency(3.0))
    await send(on.ping, shape)
    assert clock.monotonic() - began == 3.0
    assert 1500 < on.reached.remaining_ms[0] < 2500  # two of five seconds, as grpc rounds them


@pytest.mark.parametrize("fault", [latency(5.0), latency(60.0), hang()], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
async def test_the_deadline_comes_first(on: Bench, faults: FaultPlan, clock: FakeClock, shape: str, fault: Fault):
    """What would arrive after the deadline never does: the call ends when its time is over."""
    began = clock.monotonic()
    faults.on(shape, fault)
    assert told(await failure_of(on.ping, shape)) == EXPIRED
    assert clock.monotonic() - began == 5.0
    assert (faults.attempts[shape], faults.sent[shape]) == (1, 0)


async def test_a_hanging_call_is_cancelled():
    """By real time a call hangs until somebody cancels it."""
    plan = FaultPlan()
    plan.always("*", hang())
    async with bench(faults=plan) as on:
        call = on.ping.Ping(pb.PingRequest())
        await until(lambda: plan.attempts["Ping"] == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert plan.sent["Ping"] == 0


class Hedged(pb_grpc.PolicyServiceServicer):
    """Answers."""

    async def Hedged(self, request: pb.HedgedRequest, context: Any) -> pb.HedgedResponse:
        """Answers."""
        return pb.HedgedResponse(value=request.value)


async def test_a_hanging_call_is_hedged():
    """Beside a first attempt that hangs, a method that declares hedging makes a second one, and has its answer."""
    plan = FaultPlan()
    plan.on("Hedged", hang())
    async with bench(servicers=[Hedged()], faults=plan) as on:  # type: ignore[abstract]
        stub: Any = pb_grpc.PolicyServiceStub(on.channel)
        assert (await stub.Hedged(pb.HedgedRequest(value="v"))).value == "v"
    assert (plan.attempts["Hedged"], plan.sent["Hedged"]) == (2, 1)


@pytest.mark.parametrize("shape", UNARY_REQUEST)
async def test_a_duplicate(on: Bench, faults: FaultPlan, shape: str):
    """The handler runs twice, one run after the other has ended, and the caller has the second's reply."""
    faults.on(shape, duplicate())
    replies = await send(on.ping, shape, pb.Behaviour(attempt_key="k"))
    assert {reply.attempt for reply in replies} == {2}
    assert (on.reached.calls[shape], on.reached.cancelled[shape]) == (2, 0)
    assert (faults.attempts[shape], faults.sent[shape]) == (1, 2)


@pytest.mark.parametrize("shape", STREAMED_REQUEST)
async def test_streams_of_requests_pass_once(on: Bench, faults: FaultPlan, shape: str):
    """Messages of a stream are gone when they are sent: to plan their duplicate is a mistake of the test."""
    faults.on(shape, duplicate())
    with pytest.raises(ValueError, match="cannot be sent twice"):
        await send(on.ping, shape)
    assert on.reached.calls[shape] == 0


async def test_a_duplicate_is_the_same(faults: FaultPlan):
    """Both requests carry the same metadata: token, key, request id. Without stored answers there are two effects."""
    effects = Effects()
    faults.on("Add", duplicate(), ok)
    service = {"verifier": Verifier()}
    async with bench(servicers=[effects], service=service, credential=Named("till"), faults=faults) as on:
        stub: Any = pb_grpc.EffectServiceStub(on.channel)
        assert (await stub.Add(pb.AddRequest(amount=5))).value == 10
    first, second = effects.metadata
    assert first[headers.IDEMPOTENCY_KEY] == second[headers.IDEMPOTENCY_KEY] != ""
    assert headers.PREVIOUS_ATTEMPTS not in second
    assert first == second
