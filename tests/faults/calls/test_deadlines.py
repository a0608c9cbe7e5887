"""Deadlines: no call outlives its own, whatever the server does, and no handler works for a caller that is gone."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import grpc
import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.launcher.ports import free_port
from trunkline.method import method_of
from trunkline.policies.deadline import LONGEST_S, RESERVE_S
from trunkline.testing.fault_modes import Blackhole, Pass
from trunkline.testing.fault_proxy import LOOPBACK, FaultProxy

from tests.faults.calls.calling import SOON_S, awaited, calling, failure, repeated, stranger
from tests.faults.calls.instance import Instance
from tests.faults.calls.raw_call import RawCall
from tests.faults.calls.servicers import LONGER_MS
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-calls")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXPIRED = ("DEADLINE_EXCEEDED", "DEADLINE_EXPIRED")
ROUNDED_UP = 1.02
"""gRPC sends a time with two or three digits, rounded up: of a second it makes 1010 ms."""
ONCE = method_of("/trunk.testing.v1.PolicyService/Once")
"""Contract: a second by default, two at most."""


async def test_a_slow_handler(server: Instance, key: str):
    """A1: a handler that sleeps for 20 s costs its caller half a second, is asked once, and is cancelled then."""
    async with calling(server.target) as caller:
        failed = await failure(caller.ping(key, timeout=0.5, sleep_ms=LONGER_MS))
        ended = time.monotonic()
        assert failed.told == EXPIRED
        assert 0.49 <= failed.took_s < 0.5 + SOON_S
        await until(partial(server.journal.count, key, "cancelled"), "the handler is cancelled")
        assert server.journal.of(key, "cancelled")[0].at < ended + SOON_S
        assert server.journal.count(key, "arrived") == 1
        await caller.is_well()


async def test_attempts_share_a_deadline(server: Instance, key: str):
    """A2: each attempt of a slow server that fails is told less; together they never take longer than the call may."""
    async with calling(server.target) as caller:
        failed = await failure(caller.ping(key, timeout=1.0, sleep_ms=450, fail_with=repeated(*[UNAVAILABLE] * 5)))
        assert failed.took_s < 1.0 + SOON_S
        attempts = server.journal.of(key, "arrived")
        assert 2 <= len(attempts) <= 3
        left = [one.left_ms for one in attempts]
        assert left == sorted(left, reverse=True)
        # One instant for all: what an attempt has less than the one before, time has taken.
        ends = [one.at + one.left_ms / 1000 for one in attempts]
        assert max(ends) - min(ends) < 0.4
        assert all(one.at < ends[0] for one in server.journal.of(key, "began"))
        await caller.is_well()


@pytest.mark.parametrize("when", ["before the first call", "after a good call"])
async def test_a_black_hole(server: Instance, key: str, when: str):
    """A4: where nothing comes back and the caller set no deadline, the contract's holds; healed, calls go on."""
    async with FaultProxy(LOOPBACK, server.port) as proxy, calling(proxy.target) as caller:
        if when == "after a good call":
            await caller.once(f"{key}-good")
        await proxy.set(Blackhole())
        failed = await failure(caller.once(key))
        assert failed.told == EXPIRED
        assert ONCE.deadline_s - 0.01 <= failed.took_s < ONCE.deadline_s + SOON_S
        assert server.journal.count(key, "arrived") == 0
        await proxy.set(Pass())
        await caller.is_well()


async def test_waiting_for_a_server_that_never_comes():
    """A26: `wait_for_ready` ends at the deadline, the contract's where the caller set none."""
    async with calling(f"{LOOPBACK}:{free_port()}") as caller:
        for timeout, bound in ((None, ONCE.deadline_s), (0.3, 0.3)):
            failed = await failure(caller.once("never", wait=True, timeout=timeout))
            assert failed.told == EXPIRED
            assert bound - 0.01 <= failed.took_s < bound + SOON_S


@pytest.mark.parametrize("timeout_s", [0, 0.0, -1, -1e9, float("-inf"), RESERVE_S / 2])
async def test_no_time_at_all(server: Instance, key: str, timeout_s: float):
    """A23: with nothing, less than nothing, or no time for the way back, no handler runs."""
    async with calling(server.target) as caller:
        assert (await failure(caller.ping(key, timeout=timeout_s))).told == EXPIRED
        await caller.is_well()
    assert server.journal.count(key, "began") == 0


@pytest.mark.parametrize("timeout_s", [1e9, 1e300, float("inf"), float("nan"), None])
async def test_more_time_than_there_is(server: Instance, key: str, timeout_s: float | None):
    """A23: endless, absurd and absent deadlines are the contract's: its ceiling, or its default."""
    most_s = ONCE.max_deadline_s if timeout_s in (1e9, 1e300) else ONCE.deadline_s
    async with calling(server.target) as caller:
        await caller.once(key, timeout=timeout_s)
        (began,) = server.journal.of(key, "began")
        assert most_s - 1.0 < began.left_ms / 1000 <= most_s * ROUNDED_UP


@pytest.mark.parametrize("header", ["99999999H", "123456789S", ""])
async def test_a_strange_caller_with_too_much_time(server: Instance, key: str, header: str):
    """A23: whatever a stranger's `grpc-timeout` says, the server grants the contract's ceiling; its default to none."""
    most_s = ONCE.max_deadline_s if header else ONCE.deadline_s
    behaviour = pb.Behaviour(attempt_key=key, sleep_ms=LONGER_MS)
    async with RawCall(server.port, ONCE.path, pb.OnceRequest(behaviour=behaviour), timeout=header):
        await until(partial(server.journal.count, key, "began"), "the handler has begun")
        (began,) = server.journal.of(key, "began")
        assert most_s - 1.0 < began.left_ms / 1000 <= most_s * ROUNDED_UP


async def test_a_strange_caller_is_sent_away(server: Instance, key: str):
    """A23: a stranger that would wait for years is answered when the contract's ceiling is reached."""
    behaviour = pb.Behaviour(attempt_key=key, sleep_ms=LONGER_MS)
    async with RawCall(server.port, ONCE.path, pb.OnceRequest(behaviour=behaviour), timeout="99999999H") as call:
        await call.ended(ONCE.max_deadline_s + SOON_S)
    (began,), (cancelled,) = server.journal.of(key, "began"), server.journal.of(key, "cancelled")
    assert ONCE.max_deadline_s - 1.0 < cancelled.at - began.at < ONCE.max_deadline_s + SOON_S


@pytest.mark.parametrize("header", ["0n", "0S", "1n", "-1S", "abc", "1"])
async def test_a_strange_caller_with_no_time(server: Instance, key: str, header: str):
    """A23: a `grpc-timeout` that is over, or that is none, is answered, and reaches no handler."""
    request = pb.OnceRequest(behaviour=pb.Behaviour(attempt_key=key))
    async with RawCall(server.port, ONCE.path, request, timeout=header) as call:
        await call.ended(SOON_S)
    assert server.journal.count(key, "began") == 0


async def test_a_stranger_without_our_chain(server: Instance, key: str):
    """A23: a caller that sets no deadline, or a huge one, with stock grpc gets the contract's at the server."""
    async with stranger(server.target) as caller:
        for timeout, most_s in ((None, ONCE.deadline_s), (1e9, ONCE.max_deadline_s), (LONGEST_S, ONCE.max_deadline_s)):
            name = f"{key}-{timeout}"
            await caller.once(name, timeout=timeout)
            (began,) = server.journal.of(name, "began")
            assert began.left_ms / 1000 <= most_s * ROUNDED_UP


async def test_three_hops(server: Instance, tmp_path, key: str):
    """A22: the last hop sees what is left after the middle one's work, and cancelling reaches it; with too little left
    it is not asked.
    """
    with Instance(tmp_path / "middle", next_target=server.target) as middle:
        async with calling(middle.target) as caller:
            call = asyncio.ensure_future(awaited(caller.ping(key, timeout=10.0, sleep_ms=400)))
            await until(partial(server.journal.count, key, "began"), "the last hop has begun", 10.0)
            (first,), (last,) = middle.journal.of(key, "began"), server.journal.of(key, "began")
            # Rounding up never gives back what the work has taken.
            assert first.left_ms - 400 - 5000 < last.left_ms <= first.left_ms - 400
            call.cancel()
            cancelled = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await call
            for hop in (middle, server):
                await until(partial(hop.journal.count, key, "cancelled"), "the hop is cancelled")
                assert hop.journal.of(key, "cancelled")[0].at < cancelled + SOON_S
            hurried = f"{key}-hurried"
            assert (await failure(caller.ping(hurried, timeout=0.41, sleep_ms=400))).told == EXPIRED
            await until(lambda: not middle.journal.running(), "the middle hop has ended")
            assert middle.journal.count(hurried, "began") == 1
            assert server.journal.count(hurried, "arrived") == 0
