"""Every call has a deadline: shared by its attempts, handed on to nested calls, and held by the server."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.call import InboundCall, serving
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.interceptors import server_policies
from trunkline.interceptors.chain import compose
from trunkline.interceptors.host import Host
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import method_of
from trunkline.policies.retry import RetryPolicy
from trunkline.testing.ping import bench

from tests.trunkline.interceptors.servicers import Hop, until, without_waiting
from tests.trunkline.interceptors.shapes import SHAPES, failing, failure, send, stranger

PING = method_of("/trunk.testing.v1.PingService/Ping")
ROUNDING_MS = 10
"""gRPC rounds timeouts between one and ten seconds up to this on the wire."""
SLEEPY = pb.Behaviour(sleep_ms=20_000)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_caller_that_sets_none_gets_the_contracts(shape):
    """Five seconds stand in the contract of the bench."""
    async with bench() as on:
        await send(on.ping, shape)
        assert 4500 < on.reached.remaining_ms[0] <= 5000 + ROUNDING_MS


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_stranger_without_a_deadline_gets_the_contracts_too(shape):
    """The server gives a deadline to a call that comes with none."""
    async with bench() as on, stranger(on) as channel:
        await send(pb_grpc.PingServiceStub(channel), shape)
        assert 4500 < on.reached.remaining_ms[0] <= 5000 + ROUNDING_MS


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_handler_is_ended_at_the_deadline(shape):
    """The caller hears DEADLINE_EXCEEDED in time, and soon after nobody works for it any more."""
    async with bench() as on:
        began = time.monotonic()
        error = await failure(on.ping, shape, SLEEPY, timeout=0.15)
        assert 0.1 < time.monotonic() - began < 1.0
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED")
        await until(lambda: on.reached.cancelled[shape] == 1)


async def test_attempts_share_one_deadline():
    """Every attempt has less than the one before; the whole call takes no longer than it was given."""
    async with bench() as on:
        behaviour = failing(*[grpc.StatusCode.UNAVAILABLE] * 3, sleep_ms=200)
        began = time.monotonic()
        error = await failure(on.ping, "Ping", behaviour, timeout=0.6)
        assert time.monotonic() - began < 0.9
        assert error.code in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}
        left = on.reached.remaining_ms
        assert len(left) >= 2
        assert all(later <= earlier - 200 for earlier, later in itertools.pairwise(left))


async def test_no_wait_outlives_the_deadline():
    """A push-back or backoff longer than what is left ends the call at once, with the failure."""
    async with bench() as on:
        without_waiting(on)
        on.channel.peer.retry = RetryPolicy(backoff_base_s=60.0, backoff_cap_s=60.0)
        began = time.monotonic()
        error = await failure(on.ping, "Ping", failing(grpc.StatusCode.UNAVAILABLE), timeout=4.0)
        assert error.code is grpc.StatusCode.UNAVAILABLE
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_nested_call_has_what_is_left_less_the_way_home(shape):
    """Each hop keeps 20 ms back, so that its caller hears which hop was late."""
    async with (
        bench() as last,
        bench(ping=Hop(last.ping)) as middle,
        bench(ping=Hop(middle.ping)) as edge,
    ):
        await send(edge.ping, shape, timeout=0.9)
        assert 100 < last.reached.remaining_ms[0] <= 900 - 2 * 20


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_deadline_reaches_the_last_hop(shape):
    """When the first caller's time is over, the last handler stops too."""
    async with bench() as last, bench(ping=Hop(last.ping)) as edge:
        await failure(edge.ping, shape, SLEEPY, timeout=0.15)
        await until(lambda: last.reached.cancelled[shape] == 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_no_time_at_all(shape, seconds):
    """A deadline that is over is told without a call to the server."""
    async with bench() as on:
        error = await failure(on.ping, shape, timeout=seconds)
        assert (error.code, error.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED")
        assert not on.reached.calls


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_handler_with_too_little_left_calls_nobody(shape):
    """With less than the reserve left, a nested call is not made."""
    async with bench() as on:
        with serving(InboundCall("/a", deadline=SYSTEM_CLOCK.monotonic() + 0.015)):
            error = await failure(on.ping, shape)
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not on.reached.calls


class Remaining:
    """A context that says how much time its caller has left."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds

    def time_remaining(self) -> float | None:
        """Seconds, or None without a deadline."""
        return self.seconds


async def served(remaining_s: float | None, handler: Any) -> InboundCall:
    """The deadline link of the server round a handler, for a caller with so much left."""
    host = Host(clock=SYSTEM_CLOCK, verifier=None, answers=None)
    call = ServerCall(PING, Remaining(remaining_s), {}, InboundCall(PING.path), handler)
    await compose([server_policies.deadline(PING, host)], handler)(call)
    if call.limit is not None:
        call.limit.end()
    return call.inbound


@pytest.mark.parametrize("remaining_s", [0.0, 0.005, 0.0199])
async def test_hopeless_work_is_refused_before_the_handler(remaining_s):
    """With no more than the reserve left the handler does not run."""
    ran = []

    async def handler(call: ServerCall) -> None:
        ran.append(call)

    with pytest.raises(ServiceError) as refused:
        await served(remaining_s, handler)
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED")
    assert not ran


@pytest.mark.parametrize(("remaining_s", "at_most_s"), [(None, 5), (1.0, 1), (1e9, 50)])
async def test_the_servers_deadline(remaining_s, at_most_s):
    """The contract's for a caller without one; never more than the contract's ceiling."""

    async def handler(call: ServerCall) -> None:
        await asyncio.sleep(0)

    inbound = await served(remaining_s, handler)
    assert inbound.deadline is not None
    assert at_most_s - 0.5 < inbound.deadline - SYSTEM_CLOCK.monotonic() <= at_most_s


async def test_a_handlers_own_timeout_is_no_deadline():
    """A TimeoutError of the handler's own is an unknown failure: the caller had time left."""

    async def handler(call: ServerCall) -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        await served(5.0, handler)
