"""A hedged call in any order of events: timers, failures, answers, push-backs, a budget that says what it likes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trunkline.policies.deadline import RESERVE_S
from trunkline.policies.hedging import MOST_OUTSTANDING, Action, HedgedCall, HedgingPolicy, Step
from trunkline.policies.retry import MOST_ATTEMPTS, Failure, RetryPolicy, final, transient

FAILURES = st.builds(
    Failure,
    st.sampled_from(["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "NOT_FOUND"]),
    st.sampled_from(["", "", "", "BREAKER_OPEN", "IN_PROGRESS"]),
    st.none() | st.floats(-0.1, 1),
    st.sampled_from([False, False, False, True]),
)
PASSING = st.builds(Failure, st.just("UNAVAILABLE"), pushback_s=st.none() | st.floats(0, 1))


class HedgeMachine(RuleBasedStateMachine):
    """Drives one call as its carrier would, and counts for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.generous, self.grants, self.events = 0.0, True, 0, 0
        self.started, self.failures, self.answers = 0, 0, 0
        self.not_before, self.stopped = 0.0, False

    @initialize(
        max_attempts=st.integers(1, 8),
        delay_s=st.floats(0.001, 1),
        left_s=st.floats(0, 5) | st.just(60.0),
        dice=st.floats(0, 1),
        patience=st.integers(0, 8),
    )
    def begin(self, max_attempts: int, delay_s: float, left_s: float, dice: float, patience: int) -> None:
        """The call begins."""
        self.patience = patience
        self.most = min(max_attempts, MOST_ATTEMPTS)
        self.call = HedgedCall(
            policy=HedgingPolicy(delay_s, max_attempts),
            retry=RetryPolicy(),
            delay_s=delay_s,
            deadline=left_s,
            spend=self._spend,
            uniform=lambda low, high: low + dice * (high - low),
        )
        self._follow(self.call.begin(self.now))

    def _spend(self, now: float) -> bool:
        assert now == self.now
        self.grants += self.generous
        return self.generous

    def _follow(self, step: Step) -> None:
        self.step = step
        if step.action is Action.START:
            # The first attempt is free and may come at any time; the others are paid for, and have room to answer.
            assert self.started == 0 or self.now + RESERVE_S < self.call.deadline + 1e-9
            assert self.now >= self.not_before - 1e-9
            assert not self.stopped
            self.started += 1

    def going(self) -> bool:
        """The call has not ended."""
        return self.call.ended is None

    def running(self) -> bool:
        """An attempt is outstanding."""
        return self.going() and self.call.outstanding > 0

    @precondition(lambda self: self.going() and self.step.timer_s is not None)
    @rule(generous=st.sampled_from([True, True, True, False]))
    def timer(self, generous: bool) -> None:
        """Nothing happens until the timer fires."""
        assert self.step.timer_s is not None
        self.now += self.step.timer_s
        self.generous, self.events = generous, self.events + 1
        self._follow(self.call.timer_fired(self.now))

    @precondition(running)
    @rule(failure=PASSING, early=st.floats(0, 0.999), generous=st.sampled_from([True, True, True, False]))
    def fail_for_now(self, failure: Failure, early: float, generous: bool) -> None:
        """An attempt fails in a way that may pass, before the timer fires."""
        self._fail(failure, early, generous)

    @precondition(running)
    @rule(failure=FAILURES, early=st.floats(0, 0.999), generous=st.sampled_from([True, True, True, False]))
    def fail(self, failure: Failure, early: float, generous: bool) -> None:
        """An attempt fails in any way, before the timer fires."""
        self._fail(failure, early, generous)

    def _fail(self, failure: Failure, early: float, generous: bool) -> None:
        self.now += early * (self.step.timer_s or 0.1)
        self.generous, self.failures, self.events = generous, self.failures + 1, self.events + 1
        others = self.call.outstanding - 1
        if transient(failure):
            self.not_before = max(self.not_before, self.now + (failure.pushback_s or 0.0))
            self.stopped = self.stopped or final(failure)
        self._follow(self.call.failed(failure, self.now))
        if not transient(failure):
            assert self.step.action is Action.FAIL
        elif others:
            assert self.step.action is not Action.FAIL

    @precondition(lambda self: self.running() and self.events >= self.patience)
    @rule()
    def answer(self) -> None:
        """An attempt is answered, in some calls not soon: whatever happened before, the call has its answer."""
        self.answers, self.events = self.answers + 1, self.events + 1
        self._follow(self.call.answered())
        assert self.step == Step(Action.DONE, None)

    @precondition(lambda self: self.call.ended is not None)
    @rule(failure=FAILURES)
    def late(self, failure: Failure) -> None:
        """What comes after the end changes nothing."""
        before = (self.call.started, self.call.cancelled, self.call.outstanding, self.grants)
        ending = Step(self.call.ended or Action.WAIT, None)
        assert self.call.failed(failure, self.now) == ending
        assert self.call.answered() == ending
        assert self.call.timer_fired(self.now) == ending
        assert before == (self.call.started, self.call.cancelled, self.call.outstanding, self.grants)

    @invariant()
    def attempts_are_few_and_accounted_for(self) -> None:
        """Never more than allowed, in all and at once; each has failed, answered, been cancelled, or still runs."""
        call = self.call
        assert call.started == self.started <= self.most
        assert 0 <= call.outstanding <= MOST_OUTSTANDING
        assert call.started == self.failures + self.answers + call.cancelled + call.outstanding

    @invariant()
    def every_attempt_but_the_first_is_paid(self) -> None:
        """The budget granted each; at most one is paid ahead, while its wait runs with nothing outstanding."""
        ahead = self.going() and not self.call.outstanding
        assert self.grants == self.call.started - 1 + ahead

    @invariant()
    def it_goes_on_or_has_ended(self) -> None:
        """Something runs, or a timer does, or the call is over; and it is over after a bounded number of events."""
        assert not self.going() or self.call.outstanding > 0 or self.step.timer_s is not None
        assert self.events <= 3 * MOST_ATTEMPTS


TestHedgeMachine = HedgeMachine.TestCase
TestHedgeMachine.settings = settings(max_examples=250, stateful_step_count=20, deadline=None)
