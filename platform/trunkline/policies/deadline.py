"""How long a call may take. Pure."""

from __future__ import annotations

import math

RESERVE_S = 0.02
"""Seconds kept back for the way home, so that a caller hears which hop timed out."""
LONGEST_S = 3600.0
"""No call runs longer, whatever is asked for and whatever its contract says, in seconds."""


def client_deadline(
    now: float,
    *,
    requested_s: float | None,
    default_s: float,
    inherited: float | None,
    ceiling_s: float = LONGEST_S,
    reserve_s: float = RESERVE_S,
) -> float:
    """Instant by which an outgoing call must be answered.

    It is what the application asks for, else the contract's default; never later than the contract's
    ceiling, nor than the inbound call's own deadline less the reserve. Absent, unreadable (NaN) and
    endless requests mean the default; nothing or less than nothing is already over.
    """
    deadline = now + _granted_s(requested_s, default_s, ceiling_s)
    return deadline if inherited is None else min(deadline, inherited - reserve_s)


def server_deadline(now: float, *, remaining_s: float | None, default_s: float, ceiling_s: float = LONGEST_S) -> float:
    """Instant by which an inbound call must be answered.

    It is what the caller has left, never more than the contract's ceiling; a caller that set no deadline,
    or an endless one, gets the contract's default.
    """
    return now + _granted_s(remaining_s, default_s, ceiling_s)


def hopeless(now: float, deadline: float, *, reserve_s: float = RESERVE_S) -> bool:
    """Whether too little is left for an answer to reach the caller in time."""
    return deadline - now <= reserve_s


def _granted_s(asked_s: float | None, default_s: float, ceiling_s: float) -> float:
    if asked_s is None or math.isnan(asked_s) or asked_s == math.inf:
        asked_s = default_s
    return min(asked_s, ceiling_s, LONGEST_S)
