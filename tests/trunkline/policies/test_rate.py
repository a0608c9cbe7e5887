"""How often a caller may call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.rate import SWEEP, Ask, RateBook, RateLimit, admit

NOW = 1000.0


def test_a_burst_passes_and_the_next_call_waits_one_interval():
    """Five calls at once with a burst of five; the sixth is told when to come back."""
    limit, state = RateLimit(per_s=10, burst=5), 0.0
    for _ in range(5):
        decision = admit(limit, NOW, state)
        assert decision.admitted
        assert decision.retry_after_s == 0
        state = decision.next_free
    refused = admit(limit, NOW, state)
    assert not refused.admitted
    assert refused.retry_after_s == pytest.approx(0.1)
    assert admit(limit, NOW + refused.retry_after_s, state).admitted


def test_a_refused_call_costs_nothing():
    """Refusals leave the state as it was: hammering does not postpone the next call."""
    limit = RateLimit(per_s=1, burst=1)
    state = admit(limit, NOW, 0.0).next_free
    for _ in range(100):
        state = admit(limit, NOW + 0.5, state).next_free
    assert admit(limit, NOW + 1.0, state).admitted


@given(
    per_s=st.floats(0.5, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 2), max_size=200),
)
def test_never_more_than_rate_and_burst(per_s, burst, gaps):
    """Over any run of calls, no more pass than the burst and the rate allow."""
    limit, state, now, passed = RateLimit(per_s, burst), 0.0, NOW, 0
    for gap in gaps:
        now += gap
        decision = admit(limit, now, state)
        state, passed = decision.next_free, passed + decision.admitted
    assert passed <= burst + per_s * (now - NOW) + 1e-3


@given(per_s=st.floats(0.5, 1000), burst=st.integers(1, 50), calls=st.integers(1, 100))
def test_a_steady_caller_within_the_rate_always_passes(per_s, burst, calls):
    """Calls no closer than the interval are never refused."""
    limit, state = RateLimit(per_s, burst), 0.0
    for number in range(calls):
        decision = admit(limit, NOW + number / per_s, state)
        assert decision.admitted
        state = decision.next_free


def test_a_call_passes_all_of_its_limits_or_costs_nothing():
    """One that the second limit refuses is not counted by the first."""
    book, wide, narrow = RateBook(), RateLimit(10, 10), RateLimit(1, 1)
    asks = [Ask("tenant", wide, 1), Ask("method", narrow, 1)]
    assert book.ask(asks, NOW) == 0
    assert all(book.ask(asks, NOW) == pytest.approx(1.0) for _ in range(50))
    assert [book.ask(asks[:1], NOW) for _ in range(9)] == [0] * 9
    assert book.ask(asks[:1], NOW) == pytest.approx(0.1)
    assert book.ask(asks, NOW + 1.0) == 0


def test_callers_that_owe_nothing_are_forgotten():
    """A million callers that call once leave no more than those of a moment."""
    book, limit = RateBook(), RateLimit(100, 100)
    for number in range(20 * SWEEP):
        book.ask([Ask(str(number), limit, 1)], NOW + number * 0.001)
    assert len(book) <= SWEEP


def test_callers_that_owe_are_remembered():
    """However many they are: a refused one stays refused."""
    book, limit = RateBook(), RateLimit(1, 1)
    for number in range(4 * SWEEP):
        assert book.ask([Ask(str(number), limit, 1)], NOW) == 0
    assert all(book.ask([Ask(str(number), limit, 1)], NOW + 0.5) > 0 for number in range(4 * SWEEP))
