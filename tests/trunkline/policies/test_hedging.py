"""When a slow read is sent a second time: gRFC A6 clause by clause, and what is our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from trunkline.policies.budget import RetryBudget
from trunkline.policies.deadline import RESERVE_S
from trunkline.policies.hedging import Action, HedgedCall, HedgingPolicy, Step
from trunkline.policies.latency import LatencyWindow
from trunkline.policies.retry import Failure, RetryPolicy

NOW = 1000.0
DELAY_S = 0.5
UNAVAILABLE = Failure("UNAVAILABLE")
WAIT = Step(Action.WAIT, None)
FAIL = Step(Action.FAIL, None)
DONE = Step(Action.DONE, None)


def start(timer_s: float | None = None) -> Step:
    """Another attempt, now."""
    return Step(Action.START, timer_s)


def wait(timer_s: float) -> Step:
    """Nothing, for a time."""
    about: Any = pytest.approx(timer_s)
    return Step(Action.WAIT, about)


def highest(low: float, high: float) -> float:
    """Dice that always show the most."""
    return high


def granting(*answers: bool) -> Iterator[bool]:
    """A budget that says these, one after the other, and then no more."""
    yield from answers
    raise AssertionError("asked too often")


def unbegun(*, max_attempts: int = 3, paid: tuple[bool, ...] = (True,) * 5, left_s: float = 60.0) -> HedgedCall:
    """A call with a budget that answers so."""
    answers = granting(*paid)
    return HedgedCall(
        policy=HedgingPolicy(DELAY_S, max_attempts),
        retry=RetryPolicy(),
        delay_s=DELAY_S,
        deadline=NOW + left_s,
        spend=lambda _: next(answers),
        uniform=highest,
    )


def call(**changes) -> HedgedCall:
    """A call that began just now."""
    made = unbegun(**changes)
    assert made.begin(NOW).action is Action.START
    return made


def slow(**changes) -> HedgedCall:
    """A call whose first attempt was hedged."""
    made = call(**changes)
    assert made.timer_fired(NOW).action is Action.START
    return made


def test_the_first_attempt_is_sent_at_once():
    """It is sent without asking the budget, and has the delay to answer in."""
    assert unbegun(paid=()).begin(NOW) == start(DELAY_S)


def test_a_silent_attempt_is_hedged_after_the_delay():
    """When the timer fires, a second attempt runs beside the first."""
    made = call()
    assert made.timer_fired(NOW + DELAY_S) == start()
    assert (made.started, made.outstanding) == (2, 2)


def test_no_more_than_two_run_at_once():
    """Two that are silent are waited for; a third follows only when one of them has failed."""
    made = slow()
    assert made.timer_fired(NOW + 1.0) == WAIT
    assert made.failed(UNAVAILABLE, NOW + 1.0) == start()
    assert (made.started, made.outstanding) == (3, 2)


def test_the_first_answer_wins():
    """Whichever answers first ends the call; the other is cancelled."""
    made = slow()
    assert made.answered() == DONE
    assert (made.started, made.outstanding, made.cancelled) == (2, 0, 1)


def test_what_comes_after_the_end_changes_nothing():
    """An attempt that fails or answers while it is being cancelled, or a timer, does not reopen the call."""
    made = slow()
    made.answered()
    assert [made.failed(UNAVAILABLE, NOW), made.answered(), made.timer_fired(NOW)] == [DONE] * 3
    assert (made.started, made.outstanding, made.cancelled) == (2, 0, 1)


@pytest.mark.parametrize(
    "failure",
    [
        Failure("NOT_FOUND"),
        Failure("INTERNAL", pushback_s=0.1),
        Failure("DEADLINE_EXCEEDED"),
        Failure("RESOURCE_EXHAUSTED"),
        Failure("INTERNAL", exhausted=True),
    ],
)
def test_a_fatal_failure_ends_the_call(failure):
    """What another attempt would not mend goes to the caller at once; the others are cancelled."""
    made = slow()
    assert made.failed(failure, NOW + 0.6) == FAIL
    assert (made.ended, made.cancelled) == (Action.FAIL, 1)


def test_a_failure_brings_the_next_attempt_forward():
    """While another runs, a failure that may pass is followed at once; the delay begins anew."""
    made = slow(max_attempts=5)
    assert made.failed(UNAVAILABLE, NOW + 0.6) == start()
    assert made.failed(UNAVAILABLE, NOW + 0.7) == start()
    assert (made.started, made.outstanding) == (4, 2)


def test_a_failure_with_nothing_outstanding_waits_as_a_retry():
    """A server that is down is not asked three times in a moment: 50 ms, then 100 ms, then the failure is told."""
    made = call()
    assert made.failed(UNAVAILABLE, NOW) == wait(0.05)
    assert made.timer_fired(NOW + 0.05) == start(DELAY_S)
    assert made.failed(UNAVAILABLE, NOW + 0.1) == wait(0.1)
    assert made.timer_fired(NOW + 0.2) == start()
    assert made.failed(UNAVAILABLE, NOW + 0.3) == FAIL


def test_retries_of_a_hedged_call_follow_its_own_limit():
    """Its contract's five attempts hold, not the three of the retry policy."""
    made, now = call(max_attempts=5), NOW
    for timer_s in (0.05, 0.1, 0.2, 0.4):
        assert made.failed(UNAVAILABLE, now) == wait(timer_s)
        now += timer_s
        assert made.timer_fired(now).action is Action.START
    assert made.failed(UNAVAILABLE, now) == FAIL


def test_hedges_and_retries_together_are_limited():
    """Three attempts in all, however they came about; the last failure is told when none is outstanding."""
    made = slow()
    made.failed(UNAVAILABLE, NOW + 0.6)
    assert made.failed(UNAVAILABLE, NOW + 0.7) == WAIT
    assert made.failed(UNAVAILABLE, NOW + 0.8) == FAIL
    assert made.started == 3


def test_no_more_than_five_hedges_whatever_is_asked():
    """Twenty attempts are five (gRFC A6)."""
    made = slow(max_attempts=20)
    for _ in range(3):
        assert made.failed(UNAVAILABLE, NOW) == start()
    assert made.failed(UNAVAILABLE, NOW) == WAIT
    assert made.started == 5


def test_one_attempt_is_never_hedged():
    """With one attempt in all there is no timer, and its failure is the call's."""
    made = call(max_attempts=1)
    assert made.failed(UNAVAILABLE, NOW) == FAIL


def test_a_hedge_without_budget_is_not_sent():
    """The budget is asked once; refused, the call waits for what it has. Its failure asks anew, as a retry."""
    made = call(paid=(False, True))
    assert made.timer_fired(NOW + DELAY_S) == WAIT
    assert made.failed(UNAVAILABLE, NOW + 0.6) == wait(0.05)


def test_without_budget_and_without_others_the_failure_is_told():
    """A refused retry ends the call with its failure; a refused one beside another attempt does not."""
    assert call(paid=(False,)).failed(UNAVAILABLE, NOW) == FAIL
    made = slow(paid=(True, False, False))
    assert made.failed(UNAVAILABLE, NOW) == WAIT
    assert made.failed(UNAVAILABLE, NOW) == FAIL


@pytest.mark.parametrize(
    "failure",
    [
        Failure("UNAVAILABLE", pushback_s=-1.0),
        Failure("RESOURCE_EXHAUSTED", pushback_s=-1.0),
        Failure("UNAVAILABLE", "BREAKER_OPEN"),
        Failure("UNAVAILABLE", exhausted=True),
    ],
)
def test_a_negative_push_back_stops_further_hedges(failure):
    """So do our own refusals and exhausted failures. What runs may still answer, and is waited for."""
    made = slow()
    assert made.failed(failure, NOW + 0.6) == WAIT
    assert made.failed(UNAVAILABLE, NOW + 0.7) == FAIL
    assert made.started == 2
    made = slow()
    made.failed(failure, NOW + 0.6)
    assert made.answered() == DONE


def test_a_push_back_delays_the_next_hedge():
    """The next attempt comes after exactly that time, also when the other attempt fails meanwhile."""
    made = slow(max_attempts=4)
    assert made.failed(Failure("UNAVAILABLE", pushback_s=0.7), NOW) == wait(0.7)
    assert made.timer_fired(NOW + 0.7) == start()
    made = slow()
    assert made.failed(Failure("RESOURCE_EXHAUSTED", pushback_s=0.7), NOW) == wait(0.7)
    assert made.failed(UNAVAILABLE, NOW + 0.3) == wait(0.4)
    assert made.timer_fired(NOW + 0.7) == start()


def test_a_longer_push_back_is_not_cut_short_by_a_shorter_one():
    """Of two servers, or two moods of one, the one that asks for more time gets it."""
    made = slow(max_attempts=4)
    made.failed(Failure("UNAVAILABLE", pushback_s=2.0), NOW)
    assert made.failed(Failure("UNAVAILABLE", pushback_s=0.1), NOW + 0.5) == wait(1.5)


def test_hedges_after_a_push_back_resume_at_the_delay():
    """A call that was pushed back for 700 ms hedges its next attempt after the usual delay."""
    made = call()
    assert made.failed(Failure("UNAVAILABLE", pushback_s=0.7), NOW) == wait(0.7)
    assert made.timer_fired(NOW + 0.7) == start(DELAY_S)


def test_a_hedge_that_could_not_answer_in_time_is_not_sent():
    """No timer beyond the deadline, no attempt without room to answer, no push-back that outlives the call."""
    assert unbegun(left_s=DELAY_S + RESERVE_S + 0.001).begin(NOW).timer_s == DELAY_S
    assert unbegun(left_s=DELAY_S + RESERVE_S).begin(NOW).timer_s is None
    assert call(left_s=1.0).timer_fired(NOW + 0.99) == WAIT
    assert slow(left_s=1.0).failed(Failure("UNAVAILABLE", pushback_s=2.0), NOW) == WAIT
    assert call(left_s=1.0).failed(Failure("UNAVAILABLE", pushback_s=2.0), NOW) == FAIL


def seen(seconds: float, number: int) -> LatencyWindow:
    """A window that saw one time, so often."""
    window = LatencyWindow()
    for _ in range(number):
        window.observe(seconds)
    return window


@pytest.mark.parametrize(
    ("initial_s", "seconds", "number", "expected"),
    [(0.2, 0.03, 19, 0.2), (0.2, 0.03, 20, 0.03), (0.2, 0.9, 20, 0.9), (0.2, 1e-5, 20, 0.001), (0.0, 0.03, 0, 0.001)],
)
def test_the_delay_is_the_live_p95(initial_s, seconds, number, expected):
    """The contract's delay until twenty answers were seen, then their p95; never less than a millisecond."""
    assert HedgingPolicy(initial_s).delay_s(seen(seconds, number)) == expected


def test_hedging_does_not_feed_on_itself():
    """With the cancelled ones observed, one call in twenty is hedged, and a hundred rounds later it still is."""
    policy, latency, budget = HedgingPolicy(0.05), LatencyWindow(), RetryBudget()
    hedged = []
    for number in range(4000):
        now = NOW + number * 0.1
        budget.called(now)
        # Between 1 and 20 ms, evenly and in no order; a hedge answers after 5 ms.
        took_s = ((number * 7919) % 1000 + 50) / 50_000
        delay_s = policy.delay_s(latency)
        late = took_s > delay_s and budget.try_spend(now)
        latency.observe(min(took_s, delay_s + 0.005) if late else took_s)
        hedged.append(late)
    assert 0.02 < sum(hedged[-2000:]) / 2000 < 0.08


def test_a_hedge_takes_from_the_budget_of_retries():
    """With the target's budget spent, nobody is hedged; with some left, hedges spend it."""
    budget, made = RetryBudget(ratio=0.0), unbegun(max_attempts=5)
    made.spend = budget.try_spend
    made.begin(NOW)
    assert made.timer_fired(NOW) == start()
    assert made.failed(UNAVAILABLE, NOW) == start()
    assert made.failed(UNAVAILABLE, NOW) == WAIT
    assert budget.retries(NOW) == 2
