"""How many retries a target may see."""

from __future__ import annotations

import copy
import itertools

from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.budget import RetryBudget


def spent(budget: RetryBudget, now: float, tries: int) -> int:
    """How many of so many tries at once are granted."""
    return sum(budget.try_spend(now) for _ in range(tries))


def test_a_quiet_caller_may_repeat_one_call_to_the_end():
    """One call alone may be repeated twice at once; after that, once a second."""
    budget = RetryBudget()
    budget.called(100.0)
    assert spent(budget, 100.0, 5) == 2
    assert spent(budget, 100.9, 5) == 0
    assert spent(budget, 101.0, 5) == 1
    assert spent(budget, 102.0, 5) == 1


def test_a_busy_caller_may_retry_a_fifth():
    """A hundred calls in the window pay for twenty retries and no more; a second later there is one again."""
    budget = RetryBudget()
    for _ in range(100):
        budget.called(100.0)
    assert spent(budget, 100.5, 1000) == 20
    assert spent(budget, 101.5, 1000) == 1


def test_what_is_older_than_the_window_counts_for_nothing():
    """Calls are forgotten after ten seconds at the latest, retries after eleven: then an outage weighs on nothing."""
    budget = RetryBudget()
    for _ in range(100):
        budget.called(100.0)
    assert spent(budget, 100.0, 1000) == 20
    assert (budget.calls(109.9), budget.retries(109.9)) == (100, 20)
    assert (budget.calls(110.0), budget.retries(110.0)) == (0, 20)
    assert (budget.calls(111.0), budget.retries(111.0)) == (0, 0)
    assert spent(budget, 111.0, 5) == 2
    for _ in range(100):
        budget.called(111.0)
    assert spent(budget, 111.0, 1000) == 18


def test_a_ratio_of_nothing_leaves_the_floor():
    """Without a share there is still one retry a second."""
    budget = RetryBudget(ratio=0.0)
    for _ in range(1000):
        budget.called(100.0)
    assert [spent(budget, 100.0 + second, 10) for second in range(20)] == [2] + [1] * 19


def test_a_share_is_not_rounded_up_by_arithmetic():
    """Seven of a hundred are seven, although 0.07 * 100 is a little more."""
    budget = RetryBudget(ratio=0.07, floor_per_s=0.0, floor_burst=0.0)
    for _ in range(100):
        budget.called(100.0)
    assert spent(budget, 100.0, 1000) == 7


def within_the_floor(times: list[float]) -> bool:
    """Whether in no stretch of time there are more than one a second and two at once."""
    ahead = [number - at for number, at in enumerate(times)]
    return all(one - least <= 1 + 1e-6 for one, least in zip(ahead, itertools.accumulate(ahead, min), strict=True))


@given(
    start=st.floats(0, 1e6),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 30), st.integers(0, 30)), max_size=40),
)
def test_retries_never_exceed_share_or_floor(start, steps):
    """Beside a model that keeps every instant: what it grants is within share or floor, what it refuses is in neither.

    The share is exact where it grants, and a tenth of the window narrower where it refuses.
    """
    budget, now = RetryBudget(), start
    calls: list[float] = []
    retries: list[float] = []
    by_the_floor: list[float] = []

    def lately(times: list[float], seconds: float) -> int:
        return sum(1 for one in times if one > now - seconds)

    for gap, called, tries in steps:
        now += gap
        for _ in range(called):
            budget.called(now)
        calls += [now] * called
        for _ in range(tries):
            if budget.try_spend(now):
                if lately(retries, 10.0) >= 0.2 * lately(calls, 10.0):
                    by_the_floor.append(now)
                retries.append(now)
            else:
                assert lately(retries, 11.001) >= 0.2 * lately(calls, 8.999) - 1e-6
                assert lately(retries, 1.001)
    assert within_the_floor(by_the_floor)


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 30), st.integers(0, 5)), max_size=20))
def test_what_is_available_is_what_is_granted(steps):
    """Asked at any time, it names the number of retries that would be granted at once, and changes nothing."""
    budget, now = RetryBudget(), 100.0
    for gap, called, tries in steps:
        now += gap
        for _ in range(called):
            budget.called(now)
        spent(budget, now, tries)
        available = budget.available(now)
        assert available == budget.available(now)
        assert spent(copy.deepcopy(budget), now, 100) == int(available + 1e-9)


@given(gaps=st.lists(st.floats(1, 5), min_size=1, max_size=10), busy=st.integers(0, 100))
def test_never_less_than_one_a_second(gaps, busy):
    """However much was spent before, whoever waited a second may retry."""
    budget, now = RetryBudget(), 100.0
    for _ in range(busy):
        budget.called(now)
    for gap in gaps:
        spent(budget, now, 30)
        now += gap
        assert budget.try_spend(now)
