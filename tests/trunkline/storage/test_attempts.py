"""How often work is tried where others keep it from passing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from trunkline.call import InboundCall
from trunkline.policies.deadline import RESERVE_S
from trunkline.storage.attempts import ATTEMPTS, WAIT_S, Attempts
from trunkline.testing.clock import FakeClock


def longest(_low: float, high: float) -> float:
    """Dice that always show the longest wait."""
    return high


def test_waits_double_and_end():
    """Up to 64 times the first, eleven of them; a job has no deadline."""
    attempts = Attempts(None, uniform=longest)
    waits = [attempts.next_wait_s() for _ in range(ATTEMPTS)]
    assert waits == [*(WAIT_S * 2**n for n in range(6)), *[WAIT_S * 64] * 5, None]


@given(left_s=st.floats(-1.0, 3.0), takes_s=st.floats(0.001, 0.5))
def test_no_attempt_begins_when_nothing_is_left(left_s: float, takes_s: float):
    """Whatever each takes: what is waited for begins while an answer can still come in time."""
    clock = FakeClock()
    call = InboundCall("/test", deadline=clock.monotonic() + left_s, clock=clock)
    attempts = Attempts(call, uniform=longest)
    clock.advance(takes_s)
    while (wait_s := attempts.next_wait_s()) is not None:
        clock.advance(wait_s)
        assert call.deadline is not None
        assert call.deadline - clock.monotonic() > RESERVE_S - 1e-9
        clock.advance(takes_s)
