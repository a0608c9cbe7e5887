"""How long a call may take. Pure."""

from __future__ import annotations

import math

RESERVE_S = 0.02
"""Seconds kept back for the way home, so that a caller hears which hop timed out."""
LONGEST_S = 3600.0
"""A server lets no call run longer, whatever its caller asks for, in seconds."""


def client_deadline(
    now: float, *, requested_s: float | None, default_s: float, inherited: float | None, reserve_s: float = RESERVE_S
) -> float:
    """Instant by which an outgoing call must be answered.

    It is what the application asks for, else the contract's default, and never later than the
    inbound call's own deadline less the reserve. Infinite and absent requests mean the default.
    """
    wanted_s = default_s if requested_s is None or not math.isfinite(requested_s) else requested_s
    deadline = now + wanted_s
    return deadline if inherited is None else min(deadline, inherited - reserve_s)


def server_deadline(now: float, *, remaining_s: float | None, default_s: float) -> float:
    """Instant by which an inbound call must be answered; a caller that set none gets the contract's default."""
    if remaining_s is None or not math.isfinite(remaining_s):
        return now + default_s
    return now + min(remaining_s, LONGEST_S)


def hopeless(now: float, deadline: float, *, reserve_s: float = RESERVE_S) -> bool:
    """Whether too little is left for an answer to reach the caller in time."""
    return deadline - now <= reserve_s
