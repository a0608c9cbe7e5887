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


def admit(limit: RateLimit, now: float, next_free: float) -> RateDecision:
    """Decides one call of cost one; next_free is 0 for a caller not seen before."""
    interval = 1.0 / limit.per_s
    earliest = max(next_free, now) + interval - interval * limit.burst
    if now < earliest - 1e-9:
        return RateDecision(False, earliest - now, next_free)
    return RateDecision(True, 0.0, max(next_free, now) + interval)
