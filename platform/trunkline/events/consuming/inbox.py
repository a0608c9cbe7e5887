"""What to do with a number: apply it, drop it, park it, or fill a hole with it. Pure: the caller brings the time.

In each (topic, key) numbers run from 1 without holes, and `last` is the number up to which everything is applied or
recorded as a hole. So order is kept, and a repeat is known, by one number a key.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

ATTEMPTS = 5
"""Times an event is tried before it becomes a dead letter."""
GAP_PATIENCE = timedelta(seconds=30)
"""How long a key waits for a missing number before it is recorded as a hole."""
RETRY_BASE_S = 0.2
"""Seconds before the second attempt at most; they double with every attempt."""


class Verdict(enum.Enum):
    """What is done with an event."""

    APPLY = "apply"
    """It is the next one."""
    FILL = "fill"
    """It was passed over, and comes after all."""
    PARK = "park"
    """Something before it is missing."""
    DUPLICATE = "duplicate"
    """It has had its effect."""


def decide(number: int, *, last: int, hole_open: Callable[[], bool]) -> Verdict:
    """The verdict on a number.

    Args:
        number: Of the event, from 1.
        last: Number up to which all of the key is applied or a hole; 0 at the beginning.
        hole_open: Whether number is recorded as a hole that nothing has filled; asked only if it matters.
    """
    if number == last + 1:
        return Verdict.APPLY
    if number > last:
        return Verdict.PARK
    return Verdict.FILL if hole_open() else Verdict.DUPLICATE


@dataclass(frozen=True, slots=True)
class Waiting:
    """A parked event of a key."""

    number: int
    """Its number."""
    park_time: datetime
    """When it was parked."""
    attempts: int = 0
    """Times it was tried and failed."""
    retry_time: datetime | None = None
    """Not to be tried before."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now with the parked events of a key."""

    numbers: tuple[int, ...] = ()
    """To be applied now, in this order, together. One that has failed before comes alone."""
    missing: range = range(0)
    """To be recorded as holes now."""
    waits_for: range = range(0)
    """What has not come, and is waited for."""
    due: datetime | None = None
    """When to look again if nothing else happens; None with something to do now, or nothing left to wait for."""


def plan(waiting: Sequence[Waiting], *, last: int, now: datetime, patient_since: datetime) -> Plan:
    """What to do with the parked events of a key.

    Args:
        waiting: Those with the lowest numbers, in their order.
        last: Number up to which all of the key is applied or a hole.
        now: The instant it is. Times beyond it are of a clock that was set back since, and do not hold anything up.
        patient_since: Patience counts from here at the earliest: what is missing could not come before.
    """
    expected, run, dues = last + 1, list[int](), list[datetime]()
    for one in waiting:
        if one.number > expected:
            break
        if one.retry_time is not None and now < one.retry_time <= now + GAP_PATIENCE:
            dues.append(one.retry_time)
            if one.number == expected:
                break
            continue
        if one.attempts:
            return Plan(numbers=tuple(run) or (one.number,))
        run.append(one.number)
        expected = max(expected, one.number + 1)
    if run:
        return Plan(numbers=tuple(run))
    ahead, waits_for = [one for one in waiting if one.number > last], range(0)
    if ahead and ahead[0].number > last + 1:
        waits_for = range(last + 1, ahead[0].number)
        parked = min((one.park_time for one in ahead if one.park_time <= now), default=patient_since)
        given_up = max(parked, patient_since) + GAP_PATIENCE
        if given_up <= now:
            return Plan(missing=waits_for)
        dues.append(given_up)
    return Plan(waits_for=waits_for, due=min(dues, default=None))


def retry_time(attempts: int, now: datetime, uniform: Callable[[float, float], float]) -> datetime:
    """When an event that has failed attempts times is tried again: exponential, half of it by chance."""
    longest_s = RETRY_BASE_S * 2 ** (attempts - 1)
    return now + timedelta(seconds=uniform(longest_s / 2, longest_s))
