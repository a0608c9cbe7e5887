"""How long a call may take."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.deadline import LONGEST_S, RESERVE_S, client_deadline, hopeless, server_deadline

NOW = 100.0
SECONDS = st.floats(min_value=-10, max_value=1e9)


@pytest.mark.parametrize(
    ("requested_s", "inherited", "expected"),
    [
        (None, None, NOW + 5),
        (1.0, None, NOW + 1),
        (30.0, None, NOW + 30),
        (60.0, None, NOW + 50),
        (1e308, None, NOW + 50),
        (math.inf, None, NOW + 5),
        (math.nan, None, NOW + 5),
        (None, NOW + 2, NOW + 2 - RESERVE_S),
        (1.0, NOW + 2, NOW + 1),
        (3.0, NOW + 2, NOW + 2 - RESERVE_S),
        (60.0, NOW + 55, NOW + 50),
        (None, NOW + 50, NOW + 5),
        (None, math.inf, NOW + 5),
    ],
)
def test_client_deadline(requested_s, inherited, expected):
    """The application's wish, else the contract's default; never over the ceiling, nor what the caller has left."""
    found = client_deadline(NOW, requested_s=requested_s, default_s=5.0, inherited=inherited, ceiling_s=50.0)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("remaining_s", "expected"),
    [
        (None, NOW + 5),
        (math.inf, NOW + 5),
        (math.nan, NOW + 5),
        (2.0, NOW + 2),
        (50.0, NOW + 50),
        (51.0, NOW + 50),
        (1e308, NOW + 50),
    ],
)
def test_server_deadline(remaining_s, expected):
    """What the caller has left, at most the contract's ceiling; a caller without a deadline gets the contract's."""
    assert server_deadline(NOW, remaining_s=remaining_s, default_s=5.0, ceiling_s=50.0) == expected


@pytest.mark.parametrize("asked_s", [0.0, -0.0, -1e-9, -1.0, -1e9, -math.inf])
def test_no_time_is_already_over(asked_s):
    """Whoever asks for nothing, or less, gets no time at all: neither side begins."""
    here = client_deadline(NOW, requested_s=asked_s, default_s=5.0, inherited=None)
    there = server_deadline(NOW, remaining_s=asked_s, default_s=5.0)
    assert hopeless(NOW, here, reserve_s=0.0)
    assert hopeless(NOW, there, reserve_s=0.0)


def test_without_a_ceiling_the_longest_is_an_hour():
    """A contract that names no ceiling, or one beyond all measure, lets no call run for days."""
    for ceiling in ({}, {"ceiling_s": 1e9}):
        assert client_deadline(NOW, requested_s=1e9, default_s=5.0, inherited=None, **ceiling) == NOW + LONGEST_S
        assert server_deadline(NOW, remaining_s=1e9, default_s=5.0, **ceiling) == NOW + LONGEST_S


@given(requested_s=st.none() | st.floats(), inherited=SECONDS, ceiling_s=st.floats(0.1, 1e9))
def test_a_nested_call_always_ends_before_its_caller(requested_s, inherited, ceiling_s):
    """Whatever is asked for, the way home is kept back, and no ceiling is passed."""
    deadline = client_deadline(
        NOW, requested_s=requested_s, default_s=5.0, inherited=NOW + inherited, ceiling_s=ceiling_s
    )
    assert deadline <= NOW + inherited - RESERVE_S
    assert deadline <= NOW + min(ceiling_s, LONGEST_S)


@pytest.mark.parametrize(
    ("left_s", "reserve_s", "refused"),
    [
        (1.0, RESERVE_S, False),
        (RESERVE_S + 0.001, RESERVE_S, False),
        (RESERVE_S - 0.001, RESERVE_S, True),
        (0.0, RESERVE_S, True),
        (-1.0, 0.0, True),
        (0.001, 0.0, False),
    ],
)
def test_hopeless(left_s, reserve_s, refused):
    """With no more than the reserve left, an answer would come too late."""
    assert hopeless(NOW, NOW + left_s, reserve_s=reserve_s) is refused
