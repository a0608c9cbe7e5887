"""Attempts beside slow ones: the first answer counts, the others are cancelled, and the budget pays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline import headers
from trunkline.errors import ServiceError, not_found, unavailable
from trunkline.policies.budget import RetryBudget
from trunkline.telemetry.metrics import METRICS
from trunkline.testing.clock import FakeClock

from tests.trunkline.interceptors.lanes import DELAY_S, MESSAGES, SERVICE, SHAPES, Lane, opened
from tests.trunkline.interceptors.servicers import until


@pytest.fixture
async def lane(clock: FakeClock) -> AsyncIterator[Lane]:
    """A lane whose clock stands still."""
    async with opened(clock) as lane:
        yield lane


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("winner", [1, 2])
async def test_the_first_answer_counts(lane, shape, winner):
    """After 50 ms a second attempt is made; whichever answers first, the other one is cancelled at the server."""
    told = lane.told(shape)
    before = told.hedges, told.retries
    call = lane.begin(shape)
    await lane.reached(1)
    assert lane.waits == [DELAY_S]
    await lane.hedge(2)
    lane.answer(winner)
    answers = await call
    assert [one.attempt for one in answers] == [winner] * (1 if shape == "Hedged" else MESSAGES)
    await lane.cancelled(1)
    assert lane.servicer.calls == 2
    assert [one.get(headers.PREVIOUS_ATTEMPTS) for one in lane.servicer.metadata] == [None, "1"]
    assert (told.hedges, told.retries) == (before[0] + 1, before[1])


async def test_an_answer_in_time_is_not_hedged(lane):
    """The wait ends with the call: one attempt, and nothing left running."""
    call = lane.begin()
    await lane.reached(1)
    lane.answer(1)
    assert (await call)[0].attempt == 1
    assert lane.servicer.calls == 1


async def test_after_the_first_message_a_stream_is_not_hedged(lane):
    """The call is committed to the attempt whose message came, however long the next one takes."""
    call: Any = pb_grpc.PolicyServiceStub(lane.on.channel).HedgedMany(pb.HedgedManyRequest(count=MESSAGES))
    await lane.reached(1)
    lane.answer(1)
    first: Any = await call.read()
    assert first.attempt == 1
    lane.due.set()
    assert [one.attempt async for one in call] == [1] * (MESSAGES - 1)
    assert lane.servicer.calls == 1


@pytest.mark.parametrize("shape", SHAPES)
async def test_both_answer_at_once(lane, shape):
    """One of them counts; the other's stream is left, and nothing of it is served on."""
    call = lane.begin(shape)
    await lane.hedge(2)
    lane.answer(1)
    lane.answer(2)
    assert len({one.attempt for one in await call}) == 1
    await until(lambda: METRICS.server(SERVICE + shape).running == 0)


@pytest.mark.parametrize("shape", SHAPES)
async def test_whoever_cancels_cancels_all_attempts(lane, shape):
    """Both handlers end, no further attempt is made, and no wait goes on."""
    call = lane.begin(shape)
    await lane.hedge(2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await lane.cancelled(2)
    assert lane.servicer.calls == 2


async def test_a_fatal_failure_ends_the_call(lane):
    """What the server says of the request it says of every attempt: the one that runs is cancelled."""
    call = lane.begin()
    await lane.hedge(2)
    lane.fail(1, not_found("GONE", "gone"))
    with pytest.raises(ServiceError) as failed:
        await call
    assert (failed.value.reason, failed.value.exhausted) == ("GONE", True)
    await lane.cancelled(1)


async def test_a_failure_beside_a_running_attempt_starts_the_next_at_once(lane):
    """Nobody waits for a backoff while another attempt runs; the third is the last."""
    call = lane.begin()
    await lane.hedge(2)
    lane.fail(1, unavailable("LATER", "not now"))
    await lane.reached(3)
    lane.fail(2, unavailable("LATER", "not now"))
    lane.answer(3)
    assert (await call)[0].attempt == 3
    assert lane.servicer.cancelled == 0


async def test_a_failure_alone_is_repeated_after_a_wait(lane):
    """Where nothing runs beside it, it is a retry as any other: counted as one, and after a backoff."""
    told = lane.told()
    hedges, retries = told.hedges, told.retries
    call = lane.begin()
    await lane.reached(1)
    lane.fail(1, unavailable("LATER", "not now"))
    await until(lambda: len(lane.waits) == 2)
    assert lane.servicer.calls == 1
    await lane.hedge(2)
    lane.answer(2)
    await call
    assert (told.hedges - hedges, told.retries - retries) == (0, 1)


async def test_never_more_than_three_attempts_and_two_at_once(lane):
    """Hedges and retries are counted together; a third is not begun beside two that are slow."""
    call = lane.begin()
    await lane.hedge(2)
    lane.due.set()
    lane.fail(1, unavailable("LATER", "not now"))
    await lane.reached(3)
    for number in (2, 3):
        lane.fail(number, unavailable("LATER", "not now"))
    with pytest.raises(ServiceError) as failed:
        await call
    assert (failed.value.reason, failed.value.exhausted) == ("LATER", True)
    assert lane.servicer.calls == 3


async def test_the_budget_pays_for_hedges(lane):
    """Without budget a slow answer is waited for; that it was refused is counted."""
    told = lane.told()
    lane.on.channel.peer.budget = RetryBudget(ratio=0.0, floor_per_s=0.0, floor_burst=0.0)
    hedges, refusals = told.hedges, told.refusals
    call = lane.begin()
    await until(lambda: bool(lane.waits))
    lane.due.set()
    await until(lambda: told.refusals == refusals + 1)
    lane.answer(1)
    assert (await call)[0].attempt == 1
    assert (told.hedges, lane.servicer.calls) == (hedges, 1)


async def test_there_is_no_hedge_without_time_for_it(lane):
    """A call that ends before the hedge would come waits for its one attempt."""
    call = lane.begin(timeout=DELAY_S)
    await lane.reached(1)
    assert lane.waits == []
    lane.answer(1)
    await call


async def test_every_attempt_is_counted_with_its_end(lane):
    """A call with two attempts: one answered, one cancelled; the call itself went well."""
    told = lane.told()

    def counted(code: str) -> list[int]:
        return [sum(found[code].read()[0]) for found in (told.calls, told.attempts)]

    ok, cancelled, started = counted("OK"), counted("CANCELLED"), told.started
    call = lane.begin()
    await lane.hedge(2)
    lane.answer(2)
    await call
    await until(lambda: told.attempts.total() >= started + 2)
    assert counted("OK") == [ok[0] + 1, ok[1] + 1]
    assert counted("CANCELLED") == [cancelled[0], cancelled[1] + 1]
    assert told.started == started + 2
