"""The links of the client chain. Each is made per method and target; None means it has nothing to do there."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import grpc

from trunkline import headers
from trunkline.call import InboundCall
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Gate, Policy, Proceed
from trunkline.interceptors.client_call import ClientCall, Reply
from trunkline.interceptors.peer import Peer
from trunkline.method import Method
from trunkline.policies.breaker import SERVER_FAULTS, Breaker, Permit
from trunkline.policies.deadline import LONGEST_S, client_deadline, hopeless
from trunkline.telemetry.metrics import METRICS

ClientPolicy = Policy[ClientCall, Any]
ClientGate = Gate[ClientCall]
_KEYS = uuid.UUID("6f2f4f0e-6b1f-5a52-9d4e-2f7d7c1d0a11")


def deadline(method: Method, peer: Peer) -> ClientGate:
    """Gives the call its deadline, and its key if it changes anything."""
    monotonic, granted_s = peer.clock.monotonic, min(method.deadline_s, method.max_deadline_s, LONGEST_S)

    def check(call: ClientCall) -> None:
        inbound, now = call.inbound, monotonic()
        if inbound is None and call.timeout_s is None:
            call.deadline = now + granted_s
        else:
            limited(call, inbound, now)
        if method.mutates and not call.idempotency_key:
            call.idempotency_key = derive_key(inbound, method, call.request)
            call.metadata.append((headers.IDEMPOTENCY_KEY, call.idempotency_key))

    def limited(call: ClientCall, inbound: InboundCall | None, now: float) -> None:
        if inbound is not None and inbound.failure is not None:
            # The handler has ended its call and goes on: what it still asks of others would have an effect.
            raise inbound.failure
        call.deadline = client_deadline(
            now,
            requested_s=call.timeout_s,
            default_s=method.deadline_s,
            ceiling_s=method.max_deadline_s,
            inherited=inbound.deadline if inbound is not None else None,
        )
        if hopeless(now, call.deadline, reserve_s=0.0):
            raise expired()

    return Gate(check)


def derive_key(inbound: InboundCall | None, method: Method, request: Any) -> str:
    """Key of a call that the application gave none.

    Inside a handler that has a key it follows from that key, the method and the request, so that a
    repeated handler repeats its peers' calls under the same keys.
    """
    key = "" if inbound is None else inbound.idempotency.key if inbound.idempotency else inbound.idempotency_key
    if not key or method.client_streaming:
        return str(uuid.uuid4())
    content = request.SerializeToString(deterministic=True).hex()
    return str(uuid.uuid5(_KEYS, f"{key}\n{method.path}\n{content}"))


def breaker(method: Method, peer: Peer) -> ClientPolicy:
    """Fails at once where the target only fails."""
    settings = peer.overrides.breaker(method, target=peer.name) or peer.breaker_settings
    guard = peer.breakers.setdefault(method.path, Breaker(settings, peer.uniform))
    METRICS.watch_breaker(peer.name, method.path, guard)
    monotonic = peer.clock.monotonic

    def report(permit: Permit, began: float, deadline: float, error: ServiceError | None, complete: bool) -> None:
        failed = error is not None and error.code.name in SERVER_FAULTS
        # A call in such a hurry is refused by every server: that is no fault of this one.
        no_verdict = not complete or (failed and hopeless(began, deadline))
        if error is None or not failed:
            guard.report(permit, monotonic(), failed=None if no_verdict else failed)
            return
        # A server may say UNAVAILABLE without a reason too: nobody was there only where there is no connection.
        instances, gone = peer.instances(), peer.connectivity() != "READY"
        lost = error.reason == "PEER_UNREACHABLE" and (gone or instances > 1)
        guard.instances = instances
        guard.report(
            permit,
            monotonic(),
            failed=None if no_verdict else failed,
            lost_since=began if lost else None,
            unreachable=lost and gone,
        )

    async def policy(call: ClientCall, proceed: Proceed[ClientCall, Any]) -> Any:
        began = monotonic()
        permit = guard.admit(began)
        if permit is None and guard.unreachable and peer.reconnect():
            permit = guard.admit(began, connected=True)
        if permit is None:
            raise _open(peer, method)
        call.wire = None
        try:
            reply = await proceed(call)
        except ServiceError as error:
            # Where nothing was sent, for want of a token, nothing was learnt about the server.
            report(permit, began, call.deadline, error, call.wire is not None)
            raise
        except BaseException:
            # The caller cancelled: a permit that is not given back would keep the breaker shut.
            report(permit, began, call.deadline, None, False)
            raise
        if not isinstance(reply, Reply):
            guard.report(permit, monotonic(), failed=False)
            return reply
        reply.on_end(partial(report, permit, began, call.deadline))
        if permit.probe and not method.client_streaming:
            # The first message of a stream is proof enough: a probe need not wait for the last.
            report(permit, began, call.deadline, None, True)
        return reply

    return policy


def _open(peer: Peer, method: Method) -> ServiceError:
    return platform_error(
        grpc.StatusCode.UNAVAILABLE,
        "BREAKER_OPEN",
        f"{peer.name} keeps failing; not called for now",
        target=peer.name,
        method=method.path,
    )


def expired() -> ServiceError:
    """Too little time is left to make the call."""
    return platform_error(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXPIRED", "too little time was left to make the call"
    )
