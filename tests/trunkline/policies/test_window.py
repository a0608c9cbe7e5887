"""How often something happened in the last seconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.window import TENTHS, CountWindow


def exact(times: list[float], now: float, seconds: float) -> int:
    """How many of the times lie in the last seconds."""
    return sum(1 for one in times if one > now - seconds)


@given(
    window_s=st.sampled_from([10.0, 1.0, 7.0, 60.0]),
    start=st.floats(0, 1e6),
    gaps=st.lists(st.floats(0, 0.5) | st.floats(0, 200), max_size=60),
    later=st.floats(0, 80),
)
def test_the_exact_count_lies_between_the_two(window_s, start, gaps, later):
    """One count forgets up to a tenth too early, the other up to a tenth too late, at any rate and after any pause."""
    window, now = CountWindow(window_s), start
    times: list[float] = []
    for gap in [*gaps, later]:
        least, most = window.at_least(now), window.at_most(now)
        tenth = window_s / TENTHS * (1 + 1e-6)
        assert exact(times, now, window_s - tenth) <= least <= exact(times, now, window_s)
        assert exact(times, now, window_s) <= most <= exact(times, now, window_s + tenth)
        window.add(now)
        times.append(now)
        now += gap


def test_it_forgets_a_tenth_at_a_time():
    """Three calls in the tenth that began at 100 count together until the tenth ends: as nine tenths, and as eleven."""
    window = CountWindow(10.0)
    for now in (100.0, 100.5, 100.9):
        window.add(now)
    assert [window.at_least(now) for now in (100.9, 109.9, 110.0)] == [3, 3, 0]
    assert [window.at_most(now) for now in (109.9, 110.9, 111.0)] == [3, 3, 0]


def test_its_memory_does_not_grow():
    """A hundred thousand calls take as much room as one."""
    window = CountWindow(10.0)
    for number in range(100_000):
        window.add(100.0 + number * 1e-4)
    assert window.at_least(110.0) == 90_000
    assert len(window._totals) == TENTHS + 1
