"""When a failed attempt is worth repeating (after gRFC A6). Pure: dice and time are brought by the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trunkline.policies.deadline import RESERVE_S

Uniform = Callable[[float, float], float]
"""A number between the two, such as random.uniform gives."""
MOST_ATTEMPTS = 5
"""More attempts of one call are never made; a greater number means this one (gRFC A6, limits on retries and hedges)."""
OWN_REFUSALS = frozenset({"BREAKER_OPEN", "CREDENTIAL_MISSING"})
"""Reasons why a client sends nothing; a moment later it would still send nothing."""
_DOUBLINGS = 30


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


def transient(failure: Failure) -> bool:
    """Code and reason say that another attempt may succeed. Any other failure is fatal, as gRFC A6 calls it."""
    match failure.code:
        case "UNAVAILABLE":
            return True
        case "RESOURCE_EXHAUSTED":
            return failure.pushback_s is not None
        case "ABORTED":
            return failure.reason == "IN_PROGRESS"
        case _:
            return False


def final(failure: Failure) -> bool:
    """Nothing more is to be sent: the server asks for that, a lower hop has tried to the end, or we sent nothing."""
    unwanted = failure.pushback_s is not None and failure.pushback_s < 0
    return unwanted or failure.exhausted or failure.reason in OWN_REFUSALS


def pays(failure: Failure) -> bool:
    """Whether repeating after it is an attempt that counts, and costs the retry budget.

    ABORTED / IN_PROGRESS is no failure of the server: the same key is being served, and coming back fetches its answer.
    """
    return failure.code != "ABORTED" or failure.reason != "IN_PROGRESS"


@dataclass(slots=True)
class RetryProgress:
    """How far one logical call has come. Made at its first failure: most calls have none."""

    failures: int = 0
    """Failed attempts that count against the most there may be."""
    backoffs: int = 0
    """Waits that we chose since the start, or since the server's last push-back."""
    polls: int = 0
    """How often the same key was being served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is worth repeating."""

    max_attempts: int = 3
    """Attempts in all, the first one included; 1 turns retries off, more than five are five."""
    backoff_base_s: float = 0.05
    """Upper bound of the first wait, in seconds; it doubles every time."""
    backoff_cap_s: float = 1.0
    """No wait that we choose is longer, in seconds."""

    def after(
        self,
        failure: Failure,
        progress: RetryProgress,
        *,
        repeatable: bool,
        remaining_s: float,
        uniform: Uniform,
        max_attempts: int = 0,
        reserve_s: float = RESERVE_S,
        least_s: float = 0.0,
    ) -> float | None:
        """Counts a failure in progress; gives the seconds to wait before the next attempt, or None to give up.

        Args:
            failure: how the attempt failed.
            progress: of the call; changed.
            repeatable: the contract says that repeating is harmless, and there is something to send again.
            remaining_s: seconds left until the call's deadline.
            uniform: dice for the jitter.
            max_attempts: the contract's number of attempts; 0 means this policy's.
            reserve_s: seconds of the remaining ones that the next attempt needs at least.
            least_s: seconds before which an attempt cannot succeed; the wait that we choose begins after them.
        """
        progress.failures += pays(failure)
        limit = min(max_attempts or self.max_attempts, MOST_ATTEMPTS)
        # One attempt means that nothing is sent twice, not even to fetch an answer that is on its way.
        if not repeatable or limit <= 1 or progress.failures >= limit or not transient(failure) or final(failure):
            return None
        wait_s = self._wait_s(failure, progress, uniform, least_s)
        return wait_s if wait_s + reserve_s < remaining_s else None

    def _wait_s(self, failure: Failure, progress: RetryProgress, uniform: Uniform, least_s: float) -> float:
        pushback_s = failure.pushback_s
        if pushback_s is not None:
            progress.backoffs = 0
        if not pays(failure):
            progress.polls += 1
            bound_s = self._bound_s(progress.polls)
            # Half of it is certain: a first call that runs for long is asked about less and less often.
            return max(uniform(bound_s / 2, bound_s), pushback_s or 0.0)
        if pushback_s is not None:
            return pushback_s
        progress.backoffs += 1
        # Full jitter: callers that failed together must not come back together.
        return least_s + uniform(0.0, self._bound_s(progress.backoffs))

    def _bound_s(self, number: int) -> float:
        return min(self.backoff_cap_s, self.backoff_base_s * 2.0 ** min(number - 1, _DOUBLINGS))
