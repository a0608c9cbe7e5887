"""The link of the client chain that repeats attempts, and the one that hedges them."""

from __future__ import annotations

from typing import Any

from trunkline import headers
from trunkline.errors import ServiceError
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, failure_of
from trunkline.interceptors.client_hedging import hedging
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.policies.retry import RetryProgress, pays

RECONNECT_S = 0.15
"""Seconds after which gRPC has tried again to connect: `initial_reconnect_backoff_ms` with its jitter, and a bit."""


def retry(method: Method, peer: Peer) -> Policy[ClientCall, Any]:
    """Repeats attempts whose failure and contract allow it; where the contract says so, also beside a slow one."""
    return hedging(method, peer) if method.hedge_delay_s else _retrying(method, peer)


def _retrying(method: Method, peer: Peer) -> Policy[ClientCall, Any]:
    monotonic = peer.clock.monotonic

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        peer.budget.called(monotonic())
        call.attempts = 1
        progress: RetryProgress | None = None
        while True:
            try:
                return await proceed(call)
            except ServiceError as error:
                progress = progress or RetryProgress()
                wait_s = next_wait_s(method, peer, call, error, progress)
                if wait_s is None:
                    # Raised where it was caught: kept in a variable it would hold this frame, and the frame it.
                    raise
            await peer.sleep(wait_s)
            next_attempt(call)
            peer.told(method.path).retried()
            if call.trace is not None:
                call.trace.event("retry", attempt=call.attempts)

    return policy


def next_attempt(call: ClientCall) -> None:
    """Begins the next attempt of a call: it says how many came before."""
    call.attempt_metadata = [(headers.PREVIOUS_ATTEMPTS, str(call.attempts))]
    call.attempts += 1


def repeatable(method: Method, call: ClientCall) -> bool:
    """Whether a repeat is harmless, and possible: a stream of requests is consumed by its first attempt."""
    return not method.client_streaming and (method.reads or bool(call.idempotency_key))


def _gone(peer: Peer) -> bool:
    """Whether no server can be reached, and gRPC waits before it tries to connect again: till then all calls fail."""
    return peer.connectivity() == "TRANSIENT_FAILURE"


def next_wait_s(
    method: Method, peer: Peer, call: ClientCall, error: ServiceError, progress: RetryProgress
) -> float | None:
    """Seconds until the next attempt; None where there is none: then the failure is marked as retried to the end."""
    now = peer.clock.monotonic()
    failure = failure_of(error)
    found = peer.retry.after(
        failure,
        progress,
        repeatable=repeatable(method, call),
        remaining_s=call.deadline - now,
        uniform=peer.uniform,
        max_attempts=method.max_attempts,
        least_s=RECONNECT_S if failure.reason == "PEER_UNREACHABLE" and _gone(peer) else 0.0,
    )
    refused = found is not None and pays(failure) and not peer.budget.try_spend(now)
    if refused:
        peer.told(method.path).refused()
    if found is None or refused:
        error.exhausted = error.exhausted or call.attempts > 1 or refused
        return None
    return found
