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
        (60.0, None, NOW + 60),
        (math.inf, None, NOW + 5),
        (math.nan, None, NOW + 5),
        (-1.0, None, NOW - 1),
        (None, NOW + 2, NOW + 2 - RESERVE_S),
        (1.0, NOW + 2, NOW + 1),
        (3.0, NOW + 2, NOW + 2 - RESERVE_S),
        (None, NOW + 50, NOW + 5),
    ],
)
def test_client_deadline(requested_s, inherited, expected):
    """The application's wish, else the contract's default; never more than the caller has left, less the reserve."""
    assert client_deadline(NOW, requested_s=requested_s, default_s=5.0, inherited=inherited) == pytest.approx(expected)


@given(requested_s=st.none() | SECONDS, inherited=SECONDS)
def test_a_nested_call_always_ends_before_its_caller(requested_s, inherited):
    """Whatever is asked for, the way home is kept back."""
    deadline = client_deadline(NOW, requested_s=requested_s, default_s=5.0, inherited=NOW + inherited)
    assert deadline <= NOW + inherited - RESERVE_S


@pytest.mark.parametrize(
    ("remaining_s", "expected"),
    [
        (None, NOW + 5),
        (math.inf, NOW + 5),
        (2.0, NOW + 2),
        (0.0, NOW),
        (1e9, NOW + LONGEST_S),
    ],
)
def test_server_deadline(remaining_s, expected):
    """What the caller has left, at most an hour; a caller without a deadline gets the contract's."""
    assert server_deadline(NOW, remaining_s=remaining_s, default_s=5.0) == expected


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
