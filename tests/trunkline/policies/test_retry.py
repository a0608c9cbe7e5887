"""When a failed attempt is worth repeating."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.retry import Failure, RetryPolicy

UNAVAILABLE = Failure("UNAVAILABLE")


def highest(low: float, high: float) -> float:
    """Dice that always show the most."""
    return high


def wait_s(failure: Failure, **changes) -> float | None:
    """The decision after the first attempt of a repeatable call with a minute left."""
    asked: dict[str, Any] = {"attempt": 1, "repeatable": True, "remaining_s": 60.0, "uniform": highest} | changes
    return RetryPolicy().next_wait_s(failure, **asked)


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode])
def test_only_unavailable_is_repeated_without_a_push_back(code):
    """Of all codes, UNAVAILABLE alone says that another attempt may succeed."""
    assert (wait_s(Failure(code)) is not None) is (code == "UNAVAILABLE")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure("RESOURCE_EXHAUSTED", pushback_s=0.7), 0.7),
        (Failure("RESOURCE_EXHAUSTED", pushback_s=0.0), 0.0),
        (Failure("RESOURCE_EXHAUSTED", pushback_s=-1.0), None),
        (Failure("UNAVAILABLE", pushback_s=0.7), 0.7),
        (Failure("UNAVAILABLE", pushback_s=-1.0), None),
        (Failure("UNAVAILABLE", pushback_s=61.0), None),
        (Failure("ABORTED", "IN_PROGRESS", pushback_s=0.05), 0.05),
        (Failure("ABORTED", "IN_PROGRESS"), 0.05),
        (Failure("ABORTED", "LOST_UPDATE", pushback_s=0.05), None),
        (Failure("INTERNAL", pushback_s=0.05), None),
        (Failure("UNAVAILABLE", "BREAKER_OPEN"), None),
        (Failure("UNAVAILABLE", "CREDENTIAL_MISSING"), None),
        (Failure("UNAVAILABLE", exhausted=True), None),
        (Failure("RESOURCE_EXHAUSTED", pushback_s=0.1, exhausted=True), None),
    ],
)
def test_push_back_and_reason_decide(failure, expected):
    """A push-back is honoured to the millisecond; own refusals and exhausted failures are final."""
    assert wait_s(failure) == expected


def test_waits_double_up_to_a_second():
    """The upper bound of the wait is 50 ms, then twice that, never over a second."""
    policy = RetryPolicy(max_attempts=10)
    waits = [
        policy.next_wait_s(UNAVAILABLE, attempt=attempt, repeatable=True, remaining_s=60.0, uniform=highest)
        for attempt in range(1, 8)
    ]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(
    "changes",
    [{"attempt": 3}, {"repeatable": False}, {"remaining_s": 0.05}, {"remaining_s": 0.0}, {"remaining_s": -1.0}],
)
def test_gives_up(changes):
    """After three attempts, where repeating does harm, and where the wait would outlive the deadline."""
    assert wait_s(UNAVAILABLE, **changes) is None


@given(
    attempt=st.integers(1, 5),
    remaining_s=st.floats(-1, 10),
    pushback_s=st.none() | st.floats(-5, 20),
    dice=st.floats(0, 1),
)
def test_no_wait_outlives_the_deadline(attempt, remaining_s, pushback_s, dice):
    """Whatever is thrown and asked for, a wait is never negative and always ends before the call's deadline."""
    found = RetryPolicy(max_attempts=5).next_wait_s(
        Failure("UNAVAILABLE", pushback_s=pushback_s),
        attempt=attempt,
        repeatable=True,
        remaining_s=remaining_s,
        uniform=lambda low, high: low + dice * (high - low),
    )
    assert found is None or 0 <= found < remaining_s
    assert found is None or attempt < 5
    assert found is None or pushback_s is None or found == pushback_s
