"""The links of the client chain. Each is made per method and target; None means it has nothing to do there."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from trunkline import headers
from trunkline.auth.credential import Credential
from trunkline.call import InboundCall
from trunkline.clock import Clock
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, Reply
from trunkline.method import Access, Method
from trunkline.policies.breaker import SERVER_FAULTS, Breaker, BreakerSettings
from trunkline.policies.budget import RetryBudget
from trunkline.policies.deadline import client_deadline, hopeless
from trunkline.policies.retry import Failure, RetryPolicy
from trunkline.telemetry.logs import client_logger

ClientPolicy = Policy[ClientCall, Any]
CACHE_ENTRIES = 1024
"""Answers a target's cache holds; the least recently used leaves."""
_KEYS = uuid.UUID("6f2f4f0e-6b1f-5a52-9d4e-2f7d7c1d0a11")
_log = client_logger("trunkline.client")


@dataclass(slots=True)
class Peer:
    """What a process knows of one target, shared by all calls to it."""

    name: str
    """Service name, such as item."""
    clock: Clock
    """Time of every decision."""
    credential: Credential | None
    """Whose token is sent; None: no token is to be had."""
    retry: RetryPolicy
    """When to repeat."""
    budget: RetryBudget
    """How much repeating the target may see."""
    breaker_settings: BreakerSettings
    """When to stop calling."""
    uniform: Callable[[float, float], float] = random.uniform
    """Dice for jitter."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """How to wait between attempts."""
    breakers: dict[str, Breaker] = field(default_factory=dict)
    """A breaker per method."""
    answers: OrderedDict[tuple[str, str, bytes], tuple[float, bytes]] = field(default_factory=OrderedDict)
    """Cached answers: (path, for whom, request) → (until, answer). Bytes: messages can be changed by who gets them."""


def telemetry(_: Method, peer: Peer) -> ClientPolicy:
    """Passes the request id on; tells of failures."""

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        call.metadata.append((headers.REQUEST_ID, call.inbound.request_id if call.inbound else uuid.uuid4().hex))
        try:
            return await proceed(call)
        except ServiceError as error:
            _log.debug(
                "call failed",
                peer=peer.name,
                peer_method=call.method.path,
                code=error.code.name,
                reason=error.reason,
                attempts=call.attempts,
            )
            raise

    return policy


def deadline(method: Method, peer: Peer) -> ClientPolicy:
    """Gives the call its deadline, and its key if it changes anything."""

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        now = peer.clock.monotonic()
        call.deadline = client_deadline(
            now,
            requested_s=call.details.timeout,
            default_s=method.deadline_s,
            inherited=call.inbound.deadline if call.inbound else None,
        )
        if hopeless(now, call.deadline, reserve_s=0.0):
            raise _expired()
        if method.mutates and not call.idempotency_key:
            call.idempotency_key = derive_key(call.inbound, method, call.request)
            call.metadata.append((headers.IDEMPOTENCY_KEY, call.idempotency_key))
        return await proceed(call)

    return policy


def derive_key(inbound: InboundCall | None, method: Method, request: Any) -> str:
    """Key of a call that the application gave none.

    Inside a handler that has a key it follows from that key, the method and the request, so that a
    repeated handler repeats its peers' calls under the same keys.
    """
    if inbound is None or inbound.idempotency is None or method.client_streaming:
        return str(uuid.uuid4())
    content = request.SerializeToString(deterministic=True).hex()
    return str(uuid.uuid5(_KEYS, f"{inbound.idempotency.key}\n{method.path}\n{content}"))


def cache(method: Method, peer: Peer) -> ClientPolicy | None:
    """Answers reads whose contract allows it from memory."""
    if not method.cache_ttl_s or method.client_streaming or method.server_streaming:
        return None

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        key = (method.path, _for_whom(call.inbound), call.request.SerializeToString(deterministic=True))
        now = peer.clock.monotonic()
        found = peer.answers.get(key)
        if found is not None and found[0] > now:
            peer.answers.move_to_end(key)
            return method.response_type.FromString(found[1])
        answer = await proceed(call)
        peer.answers[key] = (now + method.cache_ttl_s, answer.SerializeToString())
        peer.answers.move_to_end(key)
        if len(peer.answers) > CACHE_ENTRIES:
            peer.answers.popitem(last=False)
        return answer

    return policy


def _for_whom(inbound: InboundCall | None) -> str:
    if inbound is None:
        return ""
    caller = inbound.caller
    return f"{inbound.tenant_id}\n{caller.subject}\n{caller.credential_id}" if caller else inbound.tenant_id


def retry(method: Method, peer: Peer) -> ClientPolicy:
    """Repeats attempts whose failure and contract allow it."""

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        peer.budget.called(peer.clock.monotonic())
        # A stream of requests is consumed by its first attempt.
        repeatable = not method.client_streaming and (method.reads or bool(call.idempotency_key))
        while True:
            call.attempt_metadata = [(headers.PREVIOUS_ATTEMPTS, str(call.attempts))] if call.attempts else []
            call.attempts += 1
            try:
                return await proceed(call)
            except ServiceError as error:
                now = peer.clock.monotonic()
                wait_s = peer.retry.next_wait_s(
                    Failure(error.code.name, error.reason, error.retry_after_s, error.exhausted),
                    attempt=call.attempts,
                    repeatable=repeatable,
                    remaining_s=call.deadline - now,
                    uniform=peer.uniform,
                )
                if wait_s is None or not peer.budget.try_spend(now):
                    error.exhausted = error.exhausted or call.attempts > 1 or wait_s is not None
                    raise
            await peer.sleep(wait_s)

    return policy


def breaker(method: Method, peer: Peer) -> ClientPolicy:
    """Fails at once where the target only fails."""
    guard = peer.breakers.setdefault(method.path, Breaker(peer.breaker_settings, peer.uniform))

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        began = peer.clock.monotonic()
        permit = guard.admit(began)
        if permit is None:
            raise platform_error(
                grpc.StatusCode.UNAVAILABLE,
                "BREAKER_OPEN",
                f"{peer.name} keeps failing; not called for now",
                target=peer.name,
                method=method.path,
            )

        def report(error: ServiceError | None, complete: bool) -> None:
            failed = error is not None and error.code.name in SERVER_FAULTS
            # A call in such a hurry is refused by every server: that is no fault of this one.
            no_verdict = not complete or (failed and hopeless(began, call.deadline))
            guard.report(permit, peer.clock.monotonic(), failed=None if no_verdict else failed)

        call.wire = None
        try:
            reply = await proceed(call)
        except ServiceError as error:
            # Where nothing was sent, for want of a token, nothing was learnt about the server.
            report(error, call.wire is not None)
            raise
        except BaseException:
            # The caller cancelled: a permit that is not given back would keep the breaker shut.
            report(None, False)
            raise
        if isinstance(reply, Reply):
            reply.on_end(report)
        if not isinstance(reply, Reply) or (permit.probe and not method.client_streaming):
            # The first message of a stream is proof enough: a probe need not wait for the last.
            report(None, True)
        return reply

    return policy


def credentials(method: Method, peer: Peer) -> ClientPolicy | None:
    """Sends a fresh token with every attempt, and for whom the call is made."""
    if method.access is Access.PUBLIC:
        return None

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        if peer.credential is None:
            raise platform_error(
                grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", "this process has no credential to call others with"
            )
        try:
            token = await peer.credential.token()
        except ServiceError as error:
            if call.inbound is None or error.code is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            # Ours was refused, not the caller's: it must not be told that its own token is bad.
            raise platform_error(
                grpc.StatusCode.UNAVAILABLE, "CREDENTIAL_MISSING", "this process's own credential was refused"
            ) from error
        call.attempt_metadata.append((headers.AUTHORIZATION, f"Bearer {token}"))
        if call.inbound is not None:
            if call.inbound.caller is not None:
                call.attempt_metadata.append((headers.CALLER, call.inbound.caller.token))
            elif call.inbound.tenant_id:
                call.attempt_metadata.append((headers.TENANT, call.inbound.tenant_id))
        return await proceed(call)

    return policy


def _expired() -> ServiceError:
    return platform_error(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED", "too little time was left to make the call"
    )
