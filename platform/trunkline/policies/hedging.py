"""When a slow read is sent a second time (after gRFC A6). Pure: time, dice and budget are brought by the caller."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from trunkline.policies.deadline import RESERVE_S
from trunkline.policies.latency import LatencyWindow
from trunkline.policies.retry import MOST_ATTEMPTS, Failure, RetryPolicy, RetryProgress, Uniform, final, transient

HEDGED_QUANTILE = 0.95
"""An attempt slower than this share of the others is hedged: about one call in twenty."""
LEAST_DELAY_S = 0.001
"""No hedge comes sooner, in seconds: answers that fast need none."""
MOST_OUTSTANDING = 2
"""Attempts of one call that run at once. gRFC A6 allows all of them; a third beside two slow ones is mere load."""


@dataclass(frozen=True, slots=True)
class HedgingPolicy:
    """When a read is hedged."""

    initial_delay_s: float
    """Seconds to wait for an answer until it is known how long answers take."""
    max_attempts: int = 3
    """Attempts in all, hedges and retries together; more than five are five."""

    def delay_s(self, latency: LatencyWindow) -> float:
        """Seconds to wait for an answer before the next attempt: the live p95, never less than a millisecond."""
        found = latency.quantile(HEDGED_QUANTILE)
        return max(self.initial_delay_s if found is None else found, LEAST_DELAY_S)


class Action(enum.Enum):
    """What the carrier of a hedged call does next."""

    START = "start"
    """Make one more attempt."""
    WAIT = "wait"
    """Wait for what runs, and for the timer."""
    FAIL = "fail"
    """Cancel what runs; the call fails with the failure just told."""
    DONE = "done"
    """Cancel what runs besides the attempt that answered; the call has its answer."""


class Step(NamedTuple):
    """An action, and until when."""

    action: Action
    """What to do at once."""
    timer_s: float | None
    """Seconds after which `timer_fired` is to be called, if nothing else happens before; None: never."""


@dataclass(slots=True, kw_only=True)
class HedgedCall:
    """One logical call whose attempts may run side by side. Told what happens, it answers what to do.

    Hedges serve a slow server, retries a failed one: while another attempt runs, the next follows a failure at once
    (gRFC A6); when none does, it waits as a retry would, so that a server may come back in between.
    """

    policy: HedgingPolicy
    """How many attempts there may be."""
    retry: RetryPolicy
    """How long to wait when every attempt so far has failed."""
    delay_s: float
    """Seconds after which a silent attempt is hedged."""
    deadline: float
    """Instant by which the call must be answered."""
    spend: Callable[[float], bool]
    """Asks for one retry now: `RetryBudget.try_spend`. Every attempt but the first needs one."""
    uniform: Uniform
    """Dice for the jitter of waits."""
    started: int = 0
    """Attempts that were made."""
    outstanding: int = 0
    """Attempts that run."""
    cancelled: int = 0
    """Attempts that ran when the call ended, and are to be cancelled."""
    ended: Action | None = None
    """How the call ended, FAIL or DONE; what is told later changes nothing."""
    _progress: RetryProgress = field(default_factory=RetryProgress)
    _no_more: bool = False
    _not_before: float = -math.inf

    def begin(self, now: float) -> Step:
        """The call begins: its first attempt needs no leave."""
        return self._start(now)

    def timer_fired(self, now: float) -> Step:
        """The time of the last step is over."""
        if self.ended is not None:
            return Step(self.ended, None)
        # With nothing outstanding this attempt was paid for when the last one failed.
        if self.outstanding and not (self._may_start(now, 0.0) and self.spend(now)):
            return Step(Action.WAIT, None)
        return self._start(now)

    def failed(self, failure: Failure, now: float) -> Step:
        """An attempt failed. A fatal failure ends the call; after any other, those that run may still answer."""
        if self.ended is not None:
            return Step(self.ended, None)
        self.outstanding -= 1
        if not transient(failure):
            return self._end(Action.FAIL)
        self._no_more = self._no_more or final(failure)
        if failure.pushback_s is not None:
            self._not_before = max(self._not_before, now + failure.pushback_s)
        wait_s = self._wait_s(failure, now)
        if wait_s is not None and wait_s > 0 and self.outstanding:
            return Step(Action.WAIT, wait_s)
        if wait_s is None or not self.spend(now):
            return Step(Action.WAIT, None) if self.outstanding else self._end(Action.FAIL)
        return Step(Action.WAIT, wait_s) if wait_s > 0 else self._start(now)

    def answered(self) -> Step:
        """An attempt gave its answer, or the first message of its stream: the call is committed to it."""
        if self.ended is not None:
            return Step(self.ended, None)
        self.outstanding -= 1
        return self._end(Action.DONE)

    def _wait_s(self, failure: Failure, now: float) -> float | None:
        wait_s: float | None = 0.0
        if not self.outstanding:
            wait_s = self.retry.after(
                failure,
                self._progress,
                repeatable=True,
                remaining_s=self.deadline - now,
                uniform=self.uniform,
                max_attempts=self.policy.max_attempts,
            )
        if wait_s is None:
            return None
        # A push-back to one attempt holds for those after it, whichever fails next.
        wait_s = max(wait_s, self._not_before - now)
        return wait_s if self._may_start(now, wait_s) else None

    def _may_start(self, now: float, wait_s: float) -> bool:
        allowed = not self._no_more and self.started < min(self.policy.max_attempts, MOST_ATTEMPTS)
        return allowed and self.outstanding < MOST_OUTSTANDING and now + wait_s + RESERVE_S < self.deadline

    def _start(self, now: float) -> Step:
        self.started += 1
        self.outstanding += 1
        return Step(Action.START, self.delay_s if self._may_start(now, self.delay_s) else None)

    def _end(self, action: Action) -> Step:
        self.cancelled, self.outstanding, self.ended = self.outstanding, 0, action
        return Step(action, None)
