"""When a failed attempt is worth repeating: gRFC A6 clause by clause, and what is our own."""

from __future__ import annotations

import itertools
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.policies.deadline import RESERVE_S
from trunkline.policies.retry import Failure, RetryPolicy, RetryProgress, final, pays, transient

UNAVAILABLE = Failure("UNAVAILABLE")
RUNNING = Failure("ABORTED", "IN_PROGRESS", pushback_s=0.05)
FAILURES = st.builds(
    Failure,
    st.sampled_from(["UNAVAILABLE", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL"]),
    st.sampled_from(["", "", "IN_PROGRESS", "BREAKER_OPEN"]),
    st.none() | st.floats(-0.1, 2),
    st.sampled_from([False, False, False, True]),
)


def highest(low: float, high: float) -> float:
    """Dice that always show the most."""
    return high


def lowest(low: float, high: float) -> float:
    """Dice that always show the least."""
    return low


def wait_s(
    failure: Failure, progress: RetryProgress | None = None, policy: RetryPolicy | None = None, **changes
) -> float | None:
    """The decision for a repeatable call with a minute left, at its first failure if no progress is given."""
    asked: dict[str, Any] = {"repeatable": True, "remaining_s": 60.0, "uniform": highest} | changes
    return (policy or RetryPolicy()).after(failure, progress or RetryProgress(), **asked)


def waits_s(*failures: Failure, **changes) -> list[float | None]:
    """The decisions of one call that fails so, one after the other."""
    progress = RetryProgress()
    return [wait_s(failure, progress, **changes) for failure in failures]


def attempts(**changes) -> int:
    """Attempts that a call makes which only fails."""
    return 1 + len(list(itertools.takewhile(lambda found: found is not None, waits_s(*[UNAVAILABLE] * 20, **changes))))


def test_max_attempts_counts_the_first_one():
    """Three attempts are the first one and two repeats; one attempt is no repeat."""
    assert attempts() == 3
    assert attempts(policy=RetryPolicy(max_attempts=1)) == 1


def test_more_than_five_attempts_are_five():
    """Whoever asks for more than five, policy or contract, gets five."""
    assert attempts(policy=RetryPolicy(max_attempts=50)) == 5
    assert attempts(max_attempts=50) == 5


def test_a_contract_may_have_a_number_of_its_own():
    """The contract's number goes before the policy's, either way; 0 means that it says nothing."""
    assert [attempts(max_attempts=number) for number in (0, 1, 2, 4)] == [3, 1, 2, 4]


def test_backoff_doubles_up_to_the_cap():
    """The upper bound of the wait is 50 ms, then twice that; never over the cap."""
    policy = RetryPolicy(max_attempts=5, backoff_cap_s=0.3)
    assert waits_s(*[UNAVAILABLE] * 4, policy=policy) == [0.05, 0.1, 0.2, 0.3]


def test_backoff_has_full_jitter():
    """The lower bound of every wait that we choose is nothing."""
    assert waits_s(*[UNAVAILABLE] * 2, uniform=lowest) == [0.0, 0.0]


def test_a_wait_begins_when_an_attempt_can_succeed():
    """Where nobody can be reached before some time has passed, the jitter comes on top of it; a push-back does not."""
    assert wait_s(UNAVAILABLE, least_s=0.12, uniform=lowest) == 0.12
    assert wait_s(UNAVAILABLE, least_s=0.12) == pytest.approx(0.17)
    assert wait_s(Failure("UNAVAILABLE", pushback_s=0.01), least_s=0.12) == 0.01


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode])
def test_only_unavailable_is_repeated_without_a_push_back(code):
    """Of all codes, UNAVAILABLE alone says that another attempt may succeed."""
    assert (wait_s(Failure(code)) is not None) is (code == "UNAVAILABLE")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure("RESOURCE_EXHAUSTED", pushback_s=0.7), 0.7),
        (Failure("RESOURCE_EXHAUSTED", pushback_s=0.0), 0.0),
        (Failure("UNAVAILABLE", pushback_s=0.7), 0.7),
        (Failure("UNAVAILABLE", pushback_s=59.9), 59.9),
        (Failure("UNAVAILABLE", pushback_s=61.0), None),
        (Failure("ABORTED", "LOST_UPDATE", pushback_s=0.05), None),
        (Failure("INTERNAL", pushback_s=0.05), None),
    ],
)
def test_a_push_back_is_kept_to_the_millisecond(failure, expected):
    """The server's wait is taken as it is, also beyond the cap; it makes no fatal code repeatable."""
    assert wait_s(failure, uniform=lowest) == expected


@pytest.mark.parametrize(
    "failure",
    [
        Failure("UNAVAILABLE", pushback_s=-1.0),
        Failure("RESOURCE_EXHAUSTED", pushback_s=-1.0),
        Failure("ABORTED", "IN_PROGRESS", pushback_s=-1.0),
    ],
)
def test_a_negative_push_back_ends_the_call(failure):
    """The server asks not to come back, and is obeyed."""
    assert wait_s(failure) is None


def test_a_push_back_restarts_the_backoff():
    """After a push-back of 700 ms the next wait of ours is the first one again."""
    pushed = Failure("UNAVAILABLE", pushback_s=0.7)
    found = waits_s(UNAVAILABLE, UNAVAILABLE, pushed, UNAVAILABLE, policy=RetryPolicy(max_attempts=5))
    assert found == [0.05, 0.1, 0.7, 0.05]


def test_a_push_back_gives_no_further_attempt():
    """The third failure is the last, whatever wait the server offers."""
    assert waits_s(*[Failure("UNAVAILABLE", pushback_s=0.1)] * 3) == [0.1, 0.1, None]


@pytest.mark.parametrize("remaining_s", [0.05 + RESERVE_S, 0.05, 0.0, -1.0])
def test_a_wait_leaves_room_for_the_attempt(remaining_s):
    """With no more left than the wait and the way there and back, there is no next attempt."""
    assert wait_s(UNAVAILABLE, remaining_s=remaining_s) is None
    assert wait_s(UNAVAILABLE, remaining_s=0.05 + RESERVE_S + 0.001) == 0.05


def test_what_may_do_harm_is_never_repeated():
    """A call that its contract does not call repeatable is sent once."""
    assert wait_s(UNAVAILABLE, repeatable=False) is None
    assert wait_s(RUNNING, repeatable=False) is None


@pytest.mark.parametrize(
    "failure",
    [
        Failure("UNAVAILABLE", "BREAKER_OPEN"),
        Failure("UNAVAILABLE", "CREDENTIAL_MISSING"),
        Failure("UNAVAILABLE", exhausted=True),
        Failure("RESOURCE_EXHAUSTED", pushback_s=0.1, exhausted=True),
        Failure("ABORTED", "IN_PROGRESS", exhausted=True),
    ],
)
def test_own_refusals_and_exhausted_failures_are_final(failure):
    """Where nothing was sent, or a lower hop has tried to the end, nothing more is sent; another attempt may answer."""
    assert wait_s(failure) is None
    assert transient(failure)
    assert final(failure)


def test_waiting_for_an_answer_is_no_attempt_that_counts():
    """While the same key is being served, the call comes back until its deadline; failures count as before."""
    found = waits_s(*[RUNNING] * 100, UNAVAILABLE, RUNNING, UNAVAILABLE, UNAVAILABLE)
    assert None not in found[:103]
    assert found[103] is None


def test_waiting_for_an_answer_ends_with_the_deadline():
    """Its wait, too, must leave room for the attempt."""
    assert wait_s(RUNNING, remaining_s=0.05 + RESERVE_S) is None


def test_waiting_for_an_answer_polls_less_and_less():
    """Never sooner than the push-back, and never sooner than half of a growing backoff, for as long as it takes."""
    found = waits_s(*[RUNNING] * 2000, uniform=lowest)
    assert found[:8] == [0.05, 0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5]
    assert set(found[8:]) == {0.5}
    assert waits_s(*[Failure("ABORTED", "IN_PROGRESS")] * 2, uniform=highest) == [0.05, 0.1]
    assert wait_s(Failure("ABORTED", "IN_PROGRESS", pushback_s=2.0)) == 2.0


def test_a_contract_without_repeats_is_sent_once_in_any_case():
    """With one attempt in all, not even an answer that is on its way is asked for again."""
    assert wait_s(RUNNING, max_attempts=1) is None


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (UNAVAILABLE, True),
        (Failure("ABORTED", "LOST_UPDATE"), True),
        (Failure("UNAVAILABLE", "IN_PROGRESS"), True),
        (RUNNING, False),
    ],
)
def test_waiting_for_an_answer_costs_no_budget(failure, expected):
    """The server is not failing: only repeats of failures are paid for."""
    assert pays(failure) is expected


@given(
    failures=st.lists(FAILURES, min_size=1, max_size=30),
    max_attempts=st.integers(0, 8),
    deadline_s=st.floats(0, 10),
    took_s=st.floats(0, 1),
    dice=st.floats(0, 1),
)
def test_attempts_and_waits_stay_inside_their_bounds(failures, max_attempts, deadline_s, took_s, dice):
    """However a call fails: no attempt too many, none that begins too late, no push-back undercut."""
    progress, now, counted = RetryProgress(), 0.0, 0
    for failure in failures:
        now, counted = now + took_s, counted + pays(failure)
        found = wait_s(
            failure,
            progress,
            remaining_s=deadline_s - now,
            max_attempts=max_attempts,
            uniform=lambda low, high: low + dice * (high - low),
        )
        if found is None:
            break
        now += found
        assert found >= max(failure.pushback_s or 0.0, 0.0)
        assert now + RESERVE_S < deadline_s + 1e-9
        assert counted < min(max_attempts or 3, 5)
        assert transient(failure)
        assert not final(failure)
