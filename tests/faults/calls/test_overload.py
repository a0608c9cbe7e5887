"""More calls than a connection may carry: those that wait in the client keep their deadlines, and can be cancelled."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.errors import ServiceError
from trunkline.testing.ping import BENCH_SETTINGS, bench

from tests.faults.calls.calling import ASIDE, SOON_S, calling
from tests.faults.calls.instance import Instance
from tests.faults.calls.load import Outcome

pytestmark = pytest.mark.xdist_group("fault-calls")
CALLS, STREAMS, CANCELLED = 300, 10, 50
TIMEOUT_S, WORK_MS = 1.2, 500


async def test_more_callers_than_streams():
    """A21: three hundred callers, each with one call after the other and none repeated, on a connection that carries
    128: those that wait for a stream get one, and nobody is refused.
    """
    settings = BENCH_SETTINGS.model_copy(update={"retry_attempts": 1, "min_concurrent_calls": 256})
    async with bench(settings=settings) as on:

        async def caller() -> None:
            for _ in range(10):
                await on.ping.Ping(pb.PingRequest(behaviour=pb.Behaviour(sleep_ms=5)), timeout=30.0)

        await asyncio.gather(*(caller() for _ in range(300)))
        assert on.reached.calls["Ping"] == 3000


async def test_calls_wait_for_a_stream(tmp_path, key: str):
    """A21: 300 calls where a connection carries ten: no more run at once, those that wait end at their deadline or when
    they are cancelled, and none of these reaches a handler. The breaker stands aside.
    """
    with Instance(tmp_path / "narrow", streams=STREAMS) as narrow:
        async with calling(narrow.target, **ASIDE) as caller:
            await caller.ping(f"{key}-connected")  # what waits for a connection is not sent in order
            keys = [f"{key}-{number}" for number in range(CALLS)]
            began_at = time.monotonic()
            tasks = [
                asyncio.create_task(_outcome(caller.ping(one, timeout=TIMEOUT_S, sleep_ms=WORK_MS), began_at))
                for one in keys
            ]
            await asyncio.sleep(0)
            # They are sent in order, so the last ones wait longest.
            for task in tasks[-CANCELLED:]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            done = [one for one, outcome in zip(keys, outcomes, strict=True) if getattr(outcome, "reason", None) == ""]
            failed = [outcome for outcome in outcomes if isinstance(outcome, Outcome) and outcome.reason]
            assert 0 < len(done) <= 3 * STREAMS
            assert len(done) + len(failed) == CALLS - CANCELLED
            late = [one for one in failed if one.took_s >= TIMEOUT_S + SOON_S]
            early = [one for one in failed if one.took_s < TIMEOUT_S - 0.01 and one.reason != "PEER_UNREACHABLE"]
            assert (late, early) == ([], [])
            # Some are sent when the server has not yet noticed the end of another: its HTTP/2 refuses their streams.
            assert {one.reason for one in failed} <= {"DEADLINE_EXPIRED", "PEER_UNREACHABLE"}
            began = {one.key: one for one in narrow.journal.all() if one.what == "began"}
            assert not began.keys() & set(keys[-CANCELLED:])
            assert all(one.left_ms > 0 for one in began.values())
            assert max(one.at for one in began.values()) < began_at + TIMEOUT_S + SOON_S
            assert began.keys() >= set(done)
            assert _most_at_once(narrow, before=began_at + TIMEOUT_S) <= STREAMS
            await caller.is_well()


async def _outcome(call: Any, began_at: float) -> Outcome:
    reason = ""
    try:
        await call
    except ServiceError as error:
        reason = error.reason
    return Outcome(0.0, time.monotonic() - began_at, reason)


def _most_at_once(instance: Instance, *, before: float) -> int:
    # When the deadlines have passed, the streams are free before the handlers are told.
    count = most = 0
    for one in (one for one in instance.journal.all() if one.at < before):
        count += (one.what == "began") - (one.what in ("ended", "failed", "cancelled"))
        most = max(most, count)
    return most
