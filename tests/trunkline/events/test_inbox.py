"""What is done with a number, and when parked events are tried."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trunkline.events.consuming.inbox import GAP_PATIENCE, Plan, Verdict, Waiting, decide, plan, retry_time
from trunkline.testing.clock import START

LATER = START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("number", "hole", "verdict"),
    [
        (5, False, Verdict.APPLY),
        (6, False, Verdict.PARK),
        (4, False, Verdict.DUPLICATE),
        (1, False, Verdict.DUPLICATE),
        (4, True, Verdict.FILL),
        (5, True, Verdict.APPLY),
    ],
)
def test_decides_by_number(number: int, hole: bool, verdict: Verdict):
    """After number 4: only 5 is next; what is before it is a duplicate unless it was passed over."""
    assert decide(number, last=4, hole_open=lambda: hole) is verdict


def _waiting(number: int, *, parked_s: float = 0.0, attempts: int = 0, retry_s: float | None = None) -> Waiting:
    retry = None if retry_s is None else START + timedelta(seconds=retry_s)
    return Waiting(number, START + timedelta(seconds=parked_s), attempts, retry)


@pytest.mark.parametrize(
    ("waiting", "now_s", "expected"),
    [
        ([], 0, Plan()),
        ([_waiting(5), _waiting(6), _waiting(8)], 0, Plan(numbers=(5, 6))),
        ([_waiting(6), _waiting(7)], 0, Plan(waits_for=range(5, 6), due=START + GAP_PATIENCE)),
        ([_waiting(7, parked_s=9), _waiting(8)], 29, Plan(waits_for=range(5, 7), due=START + GAP_PATIENCE)),
        ([_waiting(7, parked_s=9), _waiting(8)], 30, Plan(missing=range(5, 7))),
        ([_waiting(5, attempts=1, retry_s=2), _waiting(6)], 1, Plan(due=START + timedelta(seconds=2))),
        ([_waiting(5, attempts=1, retry_s=2), _waiting(6)], 2, Plan(numbers=(5,))),
        ([_waiting(5), _waiting(6, attempts=1, retry_s=0)], 1, Plan(numbers=(5,))),
        ([_waiting(3), _waiting(5)], 0, Plan(numbers=(3, 5))),
        ([_waiting(3, attempts=2, retry_s=9), _waiting(5)], 1, Plan(numbers=(5,))),
        (
            [_waiting(3, attempts=2, retry_s=9), _waiting(7)],
            1,
            Plan(waits_for=range(5, 7), due=START + timedelta(seconds=9)),
        ),
        ([_waiting(3, attempts=2, retry_s=9), _waiting(7)], 9, Plan(numbers=(3,))),
    ],
)
def test_plans_what_is_parked(waiting: list[Waiting], now_s: float, expected: Plan):
    """After number 4: a run is tried together, one that failed alone, and a gap is given up after 30 s."""
    now = START + timedelta(seconds=now_s)

    assert plan(waiting, last=4, now=now, patient_since=START) == expected


def test_patience_does_not_count_an_outage():
    """What is missing could not come while Redis was away, so the wait begins anew after it."""
    now = START + timedelta(seconds=100)
    back = START + timedelta(seconds=90)

    assert plan([_waiting(6)], last=4, now=now, patient_since=back).due == back + GAP_PATIENCE


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (_waiting(6, parked_s=7200), Plan(waits_for=range(5, 6), due=START + GAP_PATIENCE)),
        (_waiting(5, parked_s=7200, attempts=1, retry_s=7200), Plan(numbers=(5,))),
    ],
)
def test_times_of_a_clock_that_was_set_back_hold_nothing_up(one: Waiting, expected: Plan):
    """H1: an event that was parked two hours from now waits from now on, and is tried again at once."""
    assert plan([one], last=4, now=START, patient_since=START) == expected


def test_attempts_get_further_apart():
    """Waits double, and half of each is chance."""
    longest = [retry_time(attempts, START, lambda _, most: most) - START for attempts in range(1, 5)]
    shortest = [retry_time(attempts, START, lambda least, _: least) - START for attempts in range(1, 5)]

    assert [one.total_seconds() for one in longest] == [0.2, 0.4, 0.8, 1.6]
    assert [one.total_seconds() for one in shortest] == [0.1, 0.2, 0.4, 0.8]


class _Key:
    """A key whose rows are kept in memory: the model that decide and plan are held against."""

    def __init__(self) -> None:
        self.last = 0
        self.parked: set[int] = set()
        self.holes: set[int] = set()
        self.passed_over: set[int] = set()
        self.effects: list[int] = []

    def arrive(self, number: int) -> None:
        """An event comes from the stream."""
        if number in self.parked:
            return
        verdict = decide(number, last=self.last, hole_open=lambda: number in self.holes)
        if verdict is Verdict.PARK:
            self.parked.add(number)
        elif verdict is Verdict.APPLY:
            self.effects.append(number)
            self.last = number
        elif verdict is Verdict.FILL:
            self.effects.append(number)
            self.holes.remove(number)

    def look(self, *, patient: bool) -> None:
        """Parked events are looked at."""
        while True:
            waiting = [Waiting(number, START) for number in sorted(self.parked)]
            now = START if patient else START + GAP_PATIENCE
            found = plan(waiting, last=self.last, now=now, patient_since=START)
            if found.missing:
                self.holes.update(found.missing)
                self.passed_over.update(found.missing)
                self.last = found.missing[-1]
            elif found.numbers:
                self.parked -= set(found.numbers)
                for number in found.numbers:
                    self.arrive(number)
            else:
                return


@given(st.lists(st.tuples(st.integers(1, 8), st.booleans()), max_size=40))
def test_every_order_of_arrival_has_each_effect_once(arrivals: list[tuple[int, bool]]):
    """Repeats, gaps, late ones, impatience: each event once, and in order but for those that were passed over."""
    key = _Key()
    for number, patient in arrivals:
        key.arrive(number)
        key.look(patient=patient)
    key.look(patient=False)

    came = {number for number, _ in arrivals}
    assert sorted(key.effects) == sorted(came)
    in_order = [number for number in key.effects if number not in key.passed_over]
    assert in_order == sorted(in_order)
    assert key.holes == set(range(1, max(came, default=0) + 1)) - came
