"""More calls than a server can serve: what is refused is refused at once, what is served is served in time."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial
from pathlib import Path

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.interceptors.arrivals import SHED_RETRY_S
from trunkline.testing.ping import BENCH_SETTINGS

from tests.faults.overload.load import Strangers, begun, good, quantile, refused, serving
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-overload")
LIMIT, CALLS, WAIT_MS = 100, 2_000, 300
CONNECTIONS = 40
"""Enough for all calls at once: a connection carries 128, and what is beyond waits in its client."""
CLOCK_S = 0.002
"""A timer may be so early."""
MEETINGS = 10
"""Times a call is made while another runs, until it is early enough to be refused."""
SOON_S = 3.0
"""What is allowed where some ten milliseconds are meant: the client alone needs seconds for 2,000 calls here."""


async def test_two_thousand_calls_at_once(tmp_path):
    """B14: no more than 100 run, the others are told at once when to come back, and nothing is left behind."""
    settings = {"TRUNKLINE_MAX_CONCURRENT_CALLS": LIMIT, "TRUNKLINE_MIN_CONCURRENT_CALLS": LIMIT}
    with serving(tmp_path, **settings) as address:
        async with Strangers(address, connections=CONNECTIONS) as callers:
            value = f"wait {WAIT_MS}"
            outcomes = await callers.at_once(CALLS, value)
            done, shed = good(outcomes), refused(outcomes)
            assert {one.reason for one in shed} == {"CONCURRENCY_LIMIT"}
            low_s, high_s = SHED_RETRY_S
            assert all(low_s - 0.001 <= one.retry_after_s <= high_s + 0.001 for one in shed)
            assert len({one.retry_after_s for one in shed}) > 10
            assert LIMIT <= len(done) < CALLS / 2
            assert len(begun(tmp_path, value)) == len(done)
            assert _most_at_once(begun(tmp_path, value), WAIT_MS / 1000) <= LIMIT
            assert quantile(done, 0.99) < WAIT_MS / 1000 + SOON_S
            # No queue: with everybody gone, a call is served at once.
            (after,) = await callers.at_once(1, "wait 1")
            assert (after.reason, after.took_s < SOON_S) == ("", True)


def _most_at_once(starts: list[float], each_s: float) -> int:
    # Half of the time: a timer of a busy loop is late, so what is seen to overlap by less may not have.
    events = sorted([*((at, 1) for at in starts), *((at + each_s / 2, -1) for at in starts)])
    return max(itertools.accumulate(change for _, change in events))


async def test_handlers_that_compute(tmp_path):
    """B14: three times what the processor can do: no queue in gRPC; what is refused does not wait for what is served.

    And when the load is gone, all is well at once.
    """
    with serving(tmp_path, TRUNKLINE_MAX_CONCURRENT_CALLS=32) as address:
        async with Strangers(address) as callers:
            # What the machine can do with its neighbours of this moment: ten callers who wait for their answers.
            began, count = time.monotonic(), 0
            while time.monotonic() - began < 1.5:
                count += len(good(await callers.at_once(10, "work 10")))
            capacity = count / (time.monotonic() - began)
            outcomes = await callers.load(3 * capacity, 3.0, "work 10")
            late = [one for one in outcomes if one.due_s > 1.5]
            assert {one.reason for one in refused(outcomes)} == {"CONCURRENCY_LIMIT"}
            assert quantile(refused(late), 0.5) < quantile(good(late), 0.5)
            assert len(good(late)) / 1.5 > 0.3 * capacity
            calm = await callers.load(0.3 * capacity, 1.5, "work 10")
            assert refused(calm[-5:]) == []
            await until(lambda: _is_well(callers), "a call alone is served at once", 10.0)


async def _is_well(callers: Strangers) -> bool:
    (one,) = await callers.at_once(1, "work 1")
    return not one.reason and one.took_s < 0.5


async def test_our_clients_come_back_when_they_are_told(tmp_path):
    """A11: a refused call of connect() comes back no sooner than its server asked, by the server's own clock."""
    settings = {"TRUNKLINE_MAX_CONCURRENT_CALLS": 1}
    unbounded = BENCH_SETTINGS.model_copy(update={"retry_budget_ratio": 1.0})
    with serving(tmp_path, **settings) as address:
        async with connect("ping", target=address, settings=unbounded) as channel:
            stub = pb_grpc.PingServiceStub(channel)

            async def ping(value: str) -> str:
                answer: pb.PingResponse = await stub.Ping(pb.PingRequest(value=value), timeout=10.0)
                return answer.value

            for number in range(1, MEETINGS + 1):
                first = asyncio.create_task(ping("wait 120"))
                await until(partial(_has_begun, tmp_path, number), "it runs", 10.0)
                asked_at, first_at = time.monotonic(), begun(tmp_path, "wait 120")[-1]
                met = asked_at < first_at + 0.06  # on a busy machine it may be over before anybody is refused
                assert await ping("wait 1") == "wait 1"
                began_at = begun(tmp_path, "wait 1")[-1]
                assert await first == "wait 120"
                if met:
                    break
            assert met
            assert began_at - asked_at >= SHED_RETRY_S[0]
            assert began_at >= first_at + 0.12 - CLOCK_S


def _has_begun(folder: Path, times: int) -> bool:
    return len(begun(folder, "wait 120")) == times
