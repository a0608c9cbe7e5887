"""How often a caller may call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.rate import RateLimit, admit

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
