"""After how long an answer is hedged: a first guess, then the live p95, which only answers tell of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from trunkline.errors import ServiceError, not_found, unavailable
from trunkline.policies.latency import ENOUGH, SORTED_EVERY
from trunkline.testing.clock import FakeClock

from tests.trunkline.interceptors.lanes import DELAY_S, Lane, opened


@pytest.fixture
async def lane(clock: FakeClock) -> AsyncIterator[Lane]:
    """A lane whose clock stands still."""
    async with opened(clock) as lane:
        yield lane


class Timed:
    """Attempts take as long as the clock says, and end as they are told."""

    def __init__(self, lane: Lane, seconds: float, failure: ServiceError | None = None) -> None:
        self.lane = lane
        self.seconds = seconds
        self.failure = failure

    async def __call__(self, _: int) -> None:
        """Inside the handler."""
        self.lane.clock.advance(self.seconds)
        if self.failure is not None:
            raise self.failure


async def times(number: int, make: Callable[[], Awaitable[Any]]) -> None:
    """Makes calls one after another, whatever becomes of them."""
    for _ in range(number):
        await asyncio.gather(make(), return_exceptions=True)


async def test_the_live_p95_takes_the_place_of_the_first_guess(lane):
    """Once twenty answers were seen, a call is hedged after what 95 of 100 of them took."""
    lane.servicer.inside = Timed(lane, 0.01)
    await times(ENOUGH + SORTED_EVERY, lane.begin)
    assert lane.waits[0] == DELAY_S
    await lane.begin()
    assert lane.waits[-1] == pytest.approx(0.01)


@pytest.mark.parametrize("error", [not_found("GONE", "gone"), unavailable("LATER", "not now")], ids=str)
async def test_failures_do_not_tell_how_long_answers_take(lane, error):
    """A server that refuses at once, or a breaker that is open, would have every later call hedged at once."""
    lane.servicer.inside = Timed(lane, 0.0, error)
    lane.on.channel.peer.retry = type(lane.on.channel.peer.retry)(max_attempts=1)
    await times(ENOUGH * 2, lane.begin)
    assert lane.latency().quantile(0.5) is None


async def test_a_slow_attempt_is_noted_though_another_answered(lane):
    """It took at least as long as until it was cancelled: else the quantile would sink with every hedge."""
    call = lane.begin()
    await lane.reached(1)
    lane.clock.advance(0.3)
    await lane.hedge(2)
    lane.clock.advance(0.1)
    lane.answer(2)
    await call
    assert sorted(lane.latency()._last) == pytest.approx([0.1, 0.4])


async def test_a_caller_that_leaves_tells_nothing_of_how_long_answers_take(lane):
    """Callers that cancel early would have every later call hedged early."""
    for number in range(1, 4):
        call = lane.begin()
        await lane.reached(number)
        call.cancel()
        await asyncio.wait({call})
    assert not lane.latency()._last
    assert grpc.StatusCode.CANCELLED.name in lane.told().calls
