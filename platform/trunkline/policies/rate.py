"""How often a caller may call: the generic cell rate algorithm (ITU-T I.371). Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A steady rate with some room for bursts."""

    per_s: float
    """Calls a second, in the long run."""
    burst: int
    """Calls that may come at once."""


@dataclass(frozen=True, slots=True)
class RateDecision:
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
