"""The circuit breaker beside a plain model of its rules: any clock, cancelled, lost and late calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trunkline.policies.breaker import Breaker, BreakerSettings, BreakerState, Permit

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
SETTINGS = BreakerSettings(probes=2)


@dataclass
class Model:
    """The rules, written down without a thought of cost. Calls are told apart by number."""

    state: BreakerState = CLOSED
    changes: int = 0
    verdicts: list[tuple[float, bool]] = field(default_factory=list)
    leases: dict[int, float] = field(default_factory=dict)
    opened: int = 0
    until: float = 0.0

    def admit(self, call: int, now: float) -> bool:
        """Whether a call may be made."""
        if self.state is OPEN and now >= self.until:
            self._become(HALF_OPEN)
        if self.state is HALF_OPEN:
            self.leases = {one: ends for one, ends in self.leases.items() if ends > now}
            if len(self.leases) < SETTINGS.probes:
                self.leases[call] = now + SETTINGS.probe_lease_s
                return True
        return self.state is CLOSED

    def end(self, call: int, now: float, failed: bool | None, dice: float) -> None:
        """A call of the present generation ends."""
        leased = self.leases.pop(call, None)
        if failed is None or (self.state is HALF_OPEN and leased is None):
            return
        if self.state is HALF_OPEN:
            self._reopen(now, dice) if failed else self._close()
            return
        self.verdicts.append((now, failed))
        if failed and (self.in_a_row >= 5 or self._half(now)):
            self._reopen(now, dice)

    @property
    def in_a_row(self) -> int:
        """Failures since the last success."""
        outcomes = [failed for _, failed in reversed(self.verdicts)]
        return outcomes.index(False) if False in outcomes else len(outcomes)

    def window(self, now: float) -> list[bool]:
        """Verdicts of this second and the nine before it: the documented rounding of ten seconds."""
        return [failed for at, failed in self.verdicts if math.floor(at) > math.floor(now) - 10]

    def _half(self, now: float) -> bool:
        window = self.window(now)
        return len(window) >= 20 and 2 * sum(window) >= len(window)

    def _reopen(self, now: float, dice: float) -> None:
        self.opened += 1
        self.until = now + min(60.0, 5.0 * 2 ** (self.opened - 1)) * (0.8 + dice * (1.0 - 0.8))
        self._become(OPEN)

    def _close(self) -> None:
        self.opened = 0
        self._become(CLOSED)

    def _become(self, state: BreakerState) -> None:
        self.state, self.verdicts, self.leases = state, [], {}
        self.changes += 1


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin, end, are cancelled, get lost or report late, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.dice, self.calls = 0.0, 1.0, 0
        self.guard = Breaker(SETTINGS, lambda low, high: low + self.dice * (high - low))
        self.model = Model()
        self.running: list[tuple[int, Permit, float]] = []

    @initialize(start=st.floats(0, 1e6))
    def begin_at(self, start: float) -> None:
        """A monotonic clock begins anywhere."""
        self.now = start

    @rule(number=st.integers(1, 6))
    def begin(self, number: int) -> None:
        """Calls begin, if they may."""
        for _ in range(number):
            self.calls += 1
            permit = self.guard.admit(self.now)
            assert (permit is not None) is self.model.admit(self.calls, self.now)
            if permit is not None:
                assert bool(permit.probe) is (self.model.state is HALF_OPEN)
                self.running.append((self.calls, permit, self.now))

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 1000), failed=st.sampled_from([True, True, False, None]), dice=st.floats(0, 1))
    def end(self, pick: int, failed: bool | None, dice: float) -> None:
        """A call ends, soon or late, or is cancelled; one of an older generation changes nothing."""
        call, permit, _ = self.running.pop(pick % len(self.running))
        self.dice = dice
        if permit.generation == self.model.changes:
            self.model.end(call, self.now, failed, dice)
        self.guard.report(permit, self.now, failed=failed)

    @rule(outcomes=st.lists(st.booleans(), min_size=5, max_size=30), dice=st.floats(0, 1))
    def rush(self, outcomes: list[bool], dice: float) -> None:
        """Calls one after the other; True means failed."""
        for failed in outcomes:
            before = len(self.running)
            self.begin(1)
            if len(self.running) > before:
                self.end(before, failed, dice)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 1000))
    def lose(self, pick: int) -> None:
        """A call is never heard of again."""
        self.running.pop(pick % len(self.running))

    @rule(seconds=st.floats(0, 3) | st.floats(0, 70) | st.sampled_from([1.0, 5.0, 30.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def it_is_the_model(self) -> None:
        """State, generation and counts are those of the model."""
        found = self.guard.snapshot(self.now)
        window = self.model.window(self.now)
        assert (found.state, found.generation) == (self.model.state, self.model.changes)
        assert (found.consecutive_failures, found.calls, found.failures) == (
            self.model.in_a_row,
            len(window),
            sum(window),
        )
        assert found.probes_out == sum(1 for ends in self.model.leases.values() if ends > self.now)

    @invariant()
    def few_probes_run(self) -> None:
        """While half-open, no more calls run under a lease than there are probes."""
        leased = [
            permit
            for _, permit, began in self.running
            if permit.generation == self.guard.generation and self.now < began + SETTINGS.probe_lease_s
        ]
        assert self.guard.state is not HALF_OPEN or len(leased) <= SETTINGS.probes

    @invariant()
    def its_time_is_told(self) -> None:
        """A call passes when the snapshot says so, and not before; its time is never longer than a minute."""
        found = self.guard.snapshot(self.now)
        assert 0.0 <= found.probe_in_s <= SETTINGS.open_cap_s
        assert self.guard.state is not CLOSED or found.probe_in_s == 0.0

    def teardown(self) -> None:
        """From wherever it stands, the time it tells and one good call close it: it is never stuck."""
        later = self.now + self.guard.snapshot(self.now).probe_in_s + 1e-6
        permit = self.guard.admit(later)
        assert permit is not None
        self.guard.report(permit, later, failed=False)
        assert self.guard.state is CLOSED


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@given(
    outcomes=st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=120),
    minimum_calls=st.integers(1, 30),
    failure_ratio=st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0]),
)
def test_the_share_is_that_of_nine_to_ten_seconds(outcomes, minimum_calls, failure_ratio):
    """With the run of failures out of play, it opens when the share of this second and the nine before says so."""
    chosen = BreakerSettings(consecutive_failures=10**6, minimum_calls=minimum_calls, failure_ratio=failure_ratio)
    guard, now, verdicts = Breaker(chosen, max), 1000.3, []
    for gap, failed in outcomes:
        now += gap
        permit = guard.admit(now)
        assert permit is not None
        guard.report(permit, now, failed=failed)
        verdicts.append((now, failed))
        window = [one for at, one in verdicts if math.floor(at) > math.floor(now) - 10]
        enough = len(window) >= minimum_calls and sum(window) >= failure_ratio * len(window) - 1e-6
        assert (guard.state is OPEN) is (failed and enough)
        if guard.state is OPEN:
            break
