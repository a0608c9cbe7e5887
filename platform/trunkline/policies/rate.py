"""How often a caller may call: the generic cell rate algorithm (ITU-T I.371). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SWEEP = 1024
"""Callers that are remembered before those are looked for that have nothing to be remembered for."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A steady rate with some room for bursts."""

    per_s: float
    """Calls a second, in the long run."""
    burst: int
    """Calls that may come at once."""


class RateDecision(NamedTuple):
    """Whether a call passes, and the state to keep."""

    admitted: bool
    """The call may go on."""
    retry_after_s: float
    """Seconds until the next one would; 0 if this one does."""
    next_free: float
    """The state: theoretical arrival time of the next call."""


def admit(limit: RateLimit, now: float, next_free: float, *, cost: int = 1) -> RateDecision:
    """Decides one call of a cost; next_free is 0 for a caller not seen before.

    A cost beyond the burst is taken for the burst: such a call is let through when nothing else was, and then owed.
    """
    interval = cost / limit.per_s
    earliest = max(next_free, now) + min(cost, limit.burst) / limit.per_s - limit.burst / limit.per_s
    if now < earliest - 1e-9:
        return RateDecision(False, earliest - now, next_free)
    return RateDecision(True, 0.0, max(next_free, now) + interval)


class Ask(NamedTuple):
    """What one call asks of one limit."""

    key: str
    """Whose calls the limit counts together."""
    limit: RateLimit
    """The limit."""
    cost: int
    """What the call counts."""


class RateBook:
    """Who may call when, in memory. It forgets whoever owes nothing, so it grows with those that call at a time."""

    def __init__(self) -> None:
        self._next_free: dict[str, float] = {}
        self._sweeps_at = SWEEP

    def __len__(self) -> int:
        return len(self._next_free)

    def ask(self, asks: Sequence[Ask], now: float) -> float:
        """Decides one call by all of its limits; a call that one refuses costs nothing at the others.

        Gives the seconds until it would pass; 0 if it does.
        """
        wait_s, moved, known = 0.0, [], self._next_free
        for key, limit, cost in asks:
            decision = admit(limit, now, known.get(key, 0.0), cost=cost)
            if not decision.admitted:
                wait_s = max(wait_s, decision.retry_after_s)
            moved.append((key, decision.next_free))
        if not wait_s:
            known.update(moved)
            if len(known) >= self._sweeps_at:
                self._forget(now)
        return wait_s

    def _forget(self, now: float) -> None:
        self._next_free = {key: at for key, at in self._next_free.items() if at > now}
        self._sweeps_at = max(SWEEP, 2 * len(self._next_free))
