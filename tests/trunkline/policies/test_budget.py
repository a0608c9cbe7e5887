"""How many retries a target may see."""

from __future__ import annotations

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
    """After ten seconds neither the calls nor the retries of an outage weigh on the next one."""
    budget = RetryBudget()
    for _ in range(100):
        budget.called(100.0)
    assert spent(budget, 100.0, 1000) == 20
    assert spent(budget, 110.0, 5) == 2
    for _ in range(100):
        budget.called(110.0)
    assert spent(budget, 110.0, 1000) == 18


def test_a_ratio_of_nothing_leaves_the_floor():
    """Without a share there is still one retry a second."""
    budget = RetryBudget(ratio=0.0)
    for _ in range(1000):
        budget.called(100.0)
    assert [spent(budget, 100.0 + second, 10) for second in range(20)] == [2] + [1] * 19


@given(steps=st.lists(st.tuples(st.floats(0, 3), st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_retries_never_exceed_share_or_floor(steps):
    """Of any ten seconds, retries are at most a fifth of the calls, or one a second and the two at once."""
    budget, now, calls, retries = RetryBudget(), 100.0, [], []
    for gap, called, tries in steps:
        now += gap
        for _ in range(called):
            budget.called(now)
            calls.append(now)
        for _ in range(tries):
            if budget.try_spend(now):
                retries.append(now)
                window = sum(1 for one in retries if one > now - 10)
                share = 0.2 * sum(1 for one in calls if one > now - 10)
                last_second = sum(1 for one in retries if one > now - 1)
                assert window <= share + 1 or last_second <= 2


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
