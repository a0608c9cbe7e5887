"""How long answers take, lately."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.latency import ENOUGH, KEPT, SORTED_EVERY, LatencyWindow


def seen(*seconds: float) -> LatencyWindow:
    """A window that saw these times."""
    window = LatencyWindow()
    for one in seconds:
        window.observe(one)
    return window


def test_a_few_observations_say_nothing():
    """Below twenty there is no quantile; with twenty there is."""
    assert seen(*[0.1] * (ENOUGH - 1)).quantile(0.95) is None
    assert seen(*[0.1] * ENOUGH).quantile(0.95) == 0.1


@pytest.mark.parametrize(
    ("q", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.07, 7.0), (0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)]
)
def test_quantiles_are_times_that_were_seen(q, expected):
    """Of the times 1 to 100 in any order, the 95th percentile is 95."""
    assert seen(*[float((37 * number) % 100 + 1) for number in range(100)]).quantile(q) == expected


@pytest.mark.parametrize(("before", "after"), [(0.01, 0.5), (0.5, 0.01)])
def test_it_adapts_within_a_hundred_calls(before, after):
    """When answers become slower or faster, the quantile follows within a hundred calls."""
    window = seen(*[before] * 1000)
    assert window.quantile(0.95) == before
    for _ in range(KEPT):
        window.observe(after)
        window.quantile(0.95)
    assert window.quantile(0.95) == after


def test_one_slow_answer_does_not_move_it():
    """Of a hundred answers, five may be slow."""
    assert seen(*[0.01] * 95, *[9.0] * 5).quantile(0.95) == 0.01
    assert seen(*[0.01] * 94, *[9.0] * 6).quantile(0.95) == 9.0


@given(times=st.lists(st.floats(0, 100), min_size=ENOUGH, max_size=300), q=st.floats(0, 1))
def test_a_quantile_is_that_of_the_last_hundred(times, q):
    """A share q of the last hundred is not slower, give or take the ten that have not been sorted in yet."""
    window = LatencyWindow()
    for number, one in enumerate(times):
        window.observe(one)
        found = window.quantile(q)
        if number + 1 < ENOUGH:
            assert found is None
            continue
        assert found is not None
        last = times[: number + 1][-KEPT:]
        assert found in times[: number + 1][-KEPT - SORTED_EVERY :]
        assert sum(1 for one in last if one <= found) >= q * len(last) - SORTED_EVERY
        assert sum(1 for one in last if one < found) <= q * len(last) + SORTED_EVERY
