"""When a failed attempt is worth repeating (after gRFC A6). Pure: dice and time are brought by the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[float, float], float]
"""A number between the two, such as random.uniform gives."""
OWN_REFUSALS = frozenset({"BREAKER_OPEN", "CREDENTIAL_MISSING"})
"""Reasons why a client sends nothing; a moment later it would still send nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What the decision needs to know of a failed attempt."""

    code: str
    """Name of the status code."""
    reason: str = ""
    """Reason of its ErrorInfo, if it has one."""
    pushback_s: float | None = None
    """Seconds the server asks to wait; negative: it asks not to come back."""
    exhausted: bool = False
    """A lower hop has retried it to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is worth repeating."""

    max_attempts: int = 3
    """Attempts in all, the first one included; 1 turns retries off."""
    backoff_base_s: float = 0.05
    """Upper bound of the first wait, in seconds; it doubles every attempt."""
    backoff_cap_s: float = 1.0
    """No wait that we choose is longer, in seconds."""

    def next_wait_s(
        self, failure: Failure, *, attempt: int, repeatable: bool, remaining_s: float, uniform: Uniform
    ) -> float | None:
        """Seconds to wait before the next attempt, or None to give up.

        attempt counts the attempts already made. remaining_s is what is left of the call's deadline:
        a wait that would outlive it is never returned.
        """
        if attempt >= self.max_attempts or not repeatable or not _worth_repeating(failure):
            return None
        if failure.pushback_s is not None:
            wait_s = failure.pushback_s
        else:
            # Full jitter: callers that failed together must not come back together.
            wait_s = uniform(0.0, min(self.backoff_cap_s, self.backoff_base_s * 2 ** (attempt - 1)))
        return wait_s if 0 <= wait_s < remaining_s else None


def _worth_repeating(failure: Failure) -> bool:
    if failure.exhausted or failure.reason in OWN_REFUSALS:
        return False
    match failure.code:
        case "UNAVAILABLE":
            return True
        case "RESOURCE_EXHAUSTED":
            return failure.pushback_s is not None
        case "ABORTED":
            return failure.reason == "IN_PROGRESS"
        case _:
            return False
