"""The circuit breaker: what opens it, what closes it, and what it tells of itself."""

from __future__ import annotations

import pytest
from trunkline.policies.breaker import PRESETS, Breaker, BreakerSettings, BreakerSnapshot, BreakerState, Permit

NOW = 1000.0


def longest(low: float, high: float) -> float:
    """Dice that always show the most."""
    return high


def shortest(low: float, high: float) -> float:
    """Dice that always show the least."""
    return low


def breaker(**changes) -> Breaker:
    """A breaker without jitter."""
    return Breaker(BreakerSettings(**changes), longest)


def admitted(guard: Breaker, now: float) -> Permit:
    """Leave for one call."""
    permit = guard.admit(now)
    assert permit is not None
    return permit


def called(guard: Breaker, now: float, *outcomes: bool) -> None:
    """Calls one after the other; True means failed."""
    for failed in outcomes:
        guard.report(admitted(guard, now), now, failed=failed)


def opened(**changes) -> Breaker:
    """A breaker that opened just now."""
    guard = breaker(**changes)
    called(guard, NOW, *[True] * guard.settings.consecutive_failures)
    assert guard.state is BreakerState.OPEN
    return guard


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([True] * 4, BreakerState.CLOSED),
        ([True] * 5, BreakerState.OPEN),
        ([True] * 4 + [False] + [True] * 4, BreakerState.CLOSED),
        ([True, False] * 9, BreakerState.CLOSED),
        ([False, True] * 10, BreakerState.OPEN),
        ([True, False, False] * 30, BreakerState.CLOSED),
    ],
)
def test_what_opens_it(outcomes, state):
    """Five failures in a row, or half of at least twenty calls in ten seconds."""
    guard = breaker()
    called(guard, NOW, *outcomes)
    assert guard.state is state


def test_old_failures_fall_out_of_the_window():
    """Failures of more than ten seconds ago do not make the share."""
    guard = breaker()
    called(guard, NOW, *[True, False] * 9)
    called(guard, NOW + 10.0, True, False, True)
    assert guard.state is BreakerState.CLOSED


def test_a_share_is_not_missed_by_arithmetic():
    """Seven of a hundred are a share of 0.07, although 0.07 * 100 is a little more."""
    guard = breaker(consecutive_failures=10**6, minimum_calls=100, failure_ratio=0.07)
    called(guard, NOW, *[False] * 93, *[True] * 7)
    assert guard.state is BreakerState.OPEN


def test_an_open_breaker_admits_nobody_until_its_time_is_over():
    """Open for five seconds, then one probe at a time."""
    guard = opened()
    assert guard.admit(NOW + 4.99) is None
    assert guard.admit(NOW + 5.0) is not None
    assert guard.admit(NOW + 5.0) is None
    assert guard.state is BreakerState.HALF_OPEN


def test_a_good_probe_closes_it():
    """One success while half-open, and everybody passes again."""
    guard = opened()
    called(guard, NOW + 5.0, False)
    assert guard.state is BreakerState.CLOSED
    called(guard, NOW + 5.0, *[True] * 4)
    assert guard.state is BreakerState.CLOSED


def test_open_times_double_up_to_a_minute_and_start_anew():
    """5, 10, 20, 40, 60, 60 seconds, however long the outage; after a recovery 5 again."""
    guard, now = opened(), NOW
    for open_s in [5, 10, 20, 40] + [60] * 2000:
        assert guard.admit(now + open_s - 0.01) is None
        now += open_s
        called(guard, now, True)
    called(guard, now + 60, False)
    called(guard, now + 60, *[True] * 5)
    assert guard.admit(now + 65) is not None


@pytest.mark.parametrize(("name", "failures", "open_s"), [("three-in-a-minute", 3, 60), ("five-in-a-minute", 5, 60)])
def test_presets(name, failures, open_s):
    """The named presets open after so many failures in a row, for so long."""
    guard = Breaker(PRESETS[name], longest)
    called(guard, NOW, *[True] * failures)
    assert guard.admit(NOW + open_s - 0.01) is None
    assert guard.admit(NOW + open_s) is not None


def test_jitter_only_shortens():
    """The shortest throw opens it for four fifths of the time."""
    guard = Breaker(BreakerSettings(), shortest)
    called(guard, NOW, *[True] * 5)
    assert guard.admit(NOW + 3.99) is None
    assert guard.admit(NOW + 4.0) is not None


def test_a_probe_without_a_verdict_makes_room_for_the_next():
    """A cancelled probe gives its leave back and changes nothing else."""
    guard = opened()
    guard.report(admitted(guard, NOW + 5.0), NOW + 5.0, failed=None)
    assert guard.state is BreakerState.HALF_OPEN
    assert guard.admit(NOW + 5.0) is not None


def test_a_lost_probe_is_replaced_after_its_lease():
    """A probe that never reports holds its place for thirty seconds, and what it reports then counts for nothing."""
    guard = opened()
    lost = admitted(guard, NOW + 5.0)
    assert guard.admit(NOW + 34.9) is None
    assert guard.admit(NOW + 35.0) is not None
    guard.report(lost, NOW + 36.0, failed=False)
    assert guard.state is BreakerState.HALF_OPEN


def test_late_results_of_a_closed_time_do_not_open_it_again():
    """Calls that were under way when it opened cannot close it, open it again or lengthen its time."""
    guard = breaker()
    late = [admitted(guard, NOW) for _ in range(10)]
    called(guard, NOW, *[True] * 5)
    for permit in late[:5]:
        guard.report(permit, NOW + 1.0, failed=False)
    assert guard.admit(NOW + 4.9) is None
    called(guard, NOW + 5.0, False)
    for permit in late[5:]:
        guard.report(permit, NOW + 6.0, failed=True)
    assert guard.state is BreakerState.CLOSED


def test_ordinary_calls_share_one_permit():
    """While closed, leave costs nothing; after a recovery it is another one, so that late results are known."""
    guard = breaker()
    first = admitted(guard, NOW)
    assert admitted(guard, NOW + 1.0) is first
    called(guard, NOW + 1.0, *[True] * 5)
    called(guard, NOW + 6.0, False)
    second = admitted(guard, NOW + 6.0)
    assert (first, second) == (Permit(0), Permit(3))


def test_calls_without_a_verdict_count_for_nothing():
    """Cancelled calls neither open it nor break a run of failures."""
    guard = breaker()
    called(guard, NOW, *[True] * 4)
    for _ in range(100):
        guard.report(admitted(guard, NOW), NOW, failed=None)
    assert guard.snapshot(NOW).calls == 4
    called(guard, NOW, True)
    assert guard.state is BreakerState.OPEN


def test_a_snapshot_of_a_closed_breaker_tells_what_speaks_against_it():
    """Failures in a row and in the window; those of ten seconds ago are gone from the window only."""
    guard = breaker()
    called(guard, NOW, True, False, True, True)
    assert guard.snapshot(NOW) == BreakerSnapshot(BreakerState.CLOSED, 0, 2, 4, 3, 0.0, 0)
    assert guard.snapshot(NOW + 10.0) == BreakerSnapshot(BreakerState.CLOSED, 0, 2, 0, 0, 0.0, 0)


def test_a_snapshot_tells_when_it_may_be_probed():
    """Open: the rest of its time. Half-open: until the first lease ends. Asking does not make it half-open."""
    guard = opened()
    assert guard.snapshot(NOW + 2.0) == BreakerSnapshot(BreakerState.OPEN, 1, 0, 0, 0, 3.0, 0)
    assert guard.snapshot(NOW + 7.0) == BreakerSnapshot(BreakerState.OPEN, 1, 0, 0, 0, 0.0, 0)
    admitted(guard, NOW + 7.0)
    assert guard.snapshot(NOW + 10.0) == BreakerSnapshot(BreakerState.HALF_OPEN, 2, 0, 0, 0, 27.0, 1)
    assert guard.snapshot(NOW + 37.0) == BreakerSnapshot(BreakerState.HALF_OPEN, 2, 0, 0, 0, 0.0, 0)


def test_a_snapshot_with_several_probes_waits_for_the_first_lease():
    """With both probes out, the next one may go when the older lease ends."""
    guard = opened(probes=2)
    admitted(guard, NOW + 5.0)
    assert guard.snapshot(NOW + 6.0).probe_in_s == 0.0
    admitted(guard, NOW + 7.0)
    assert guard.snapshot(NOW + 10.0) == BreakerSnapshot(BreakerState.HALF_OPEN, 2, 0, 0, 0, 25.0, 2)


def lost(breaker: Breaker, began: float, now: float) -> None:
    """A call that began at an instant and failed at another, because nobody was there."""
    permit = breaker.admit(began)
    assert permit is not None
    breaker.report(permit, now, failed=True, lost_since=began, unreachable=True)


def test_calls_that_lose_one_connection_are_one_failure():
    """Fifty calls that were under way when it was lost do not open a breaker; five losses in a row do."""
    breaker = Breaker(BreakerSettings(), lambda _, high: high)
    for number in range(50):
        lost(breaker, 1.0, 2.0 + number / 1000)
    assert breaker.state is BreakerState.CLOSED
    for number in range(4):
        lost(breaker, 3.0 + number, 3.5 + number)
    assert (breaker.state, breaker.unreachable) == (BreakerState.OPEN, True)


def test_a_connection_that_stands_again_is_probed():
    """An open breaker does not wait for its time, if it opened because nobody was there; the probe decides as ever."""
    breaker = Breaker(BreakerSettings(open_s=60.0), lambda _, high: high)
    for number in range(5):
        lost(breaker, float(number), float(number))
    assert breaker.admit(5.0) is None
    probe = breaker.admit(5.0, connected=True)
    assert probe is not None
    assert breaker.admit(5.0, connected=True) is None
    breaker.report(probe, 5.1, failed=False)
    assert breaker.state is BreakerState.CLOSED


def test_a_connection_says_nothing_of_a_server_that_fails():
    """A breaker that failures have opened stays open for its time, however well the connection stands."""
    breaker = Breaker(BreakerSettings(), lambda _, high: high)
    for number in range(5):
        permit = breaker.admit(float(number))
        assert permit is not None
        breaker.report(permit, float(number), failed=True)
    assert breaker.admit(6.0, connected=True) is None


def test_one_ill_server_of_several_opens_nothing():
    """Half of the calls fail where one of two servers only fails: those are balanced around, the target is not ill;
    where both fail, it opens after twice as many in a row.
    """
    breaker = Breaker(BreakerSettings(), lambda _, high: high)
    breaker.instances = 2
    for number in range(60):
        permit = breaker.admit(number / 100)
        assert permit is not None
        breaker.report(permit, number / 100, failed=number % 2 == 0)
    assert breaker.generation == 0
    for number in range(10):
        permit = breaker.admit(20.0)
        assert permit is not None, number
        breaker.report(permit, 20.0, failed=True)
    assert breaker.state is BreakerState.OPEN
