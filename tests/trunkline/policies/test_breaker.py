"""The circuit breaker: what opens it, what closes it, and that it is never stuck."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trunkline.policies.breaker import PRESETS, Breaker, BreakerSettings, BreakerState, Permit

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


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin, end, are cancelled, get lost or report late, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.probes = 2
        self.guard = breaker(probes=self.probes)
        self.running: list[tuple[Permit, float]] = []

    @rule()
    def begin(self) -> None:
        """A call begins, if it may."""
        permit = self.guard.admit(self.now)
        if permit is not None:
            self.running.append((permit, self.now))

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 1000), failed=st.sampled_from([True, True, False, None]))
    def end(self, pick: int, failed: bool | None) -> None:
        """A call ends; one of an older generation changes nothing."""
        permit, _ = self.running.pop(pick % len(self.running))
        before = (self.guard.state, self.guard.generation)
        self.guard.report(permit, self.now, failed=failed)
        if permit.generation != before[1]:
            assert (self.guard.state, self.guard.generation) == before

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 1000))
    def lose(self, pick: int) -> None:
        """A call is never heard of again."""
        self.running.pop(pick % len(self.running))

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def few_probes_run(self) -> None:
        """While half-open, no more calls run under a lease than there are probes."""
        if self.guard.state is BreakerState.HALF_OPEN:
            lease_s = self.guard.settings.probe_lease_s
            leased = [
                permit
                for permit, began in self.running
                if permit.generation == self.guard.generation and self.now < began + lease_s
            ]
            assert len(leased) <= self.probes
            assert all(permit.probe for permit in leased)

    def teardown(self) -> None:
        """From wherever it stands, a minute and a good call close it: it is never stuck."""
        later = self.now + 61.0
        called(self.guard, later, False)
        assert self.guard.state is BreakerState.CLOSED


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
