"""The link of the server chain that gives a repeated call its first answer."""

from __future__ import annotations

from functools import partial

import grpc

from trunkline import headers
from trunkline.call import IdempotencyContext, Principal
from trunkline.errors import ServiceError, platform_error
from trunkline.interceptors.chain import Proceed
from trunkline.interceptors.host import Answers, Host, ServerPolicy
from trunkline.interceptors.server_call import ServerCall
from trunkline.method import Method
from trunkline.shield import after_shielded
from trunkline.telemetry.card_numbers import refusable

COME_BACK_S = (0.05, 1.0)
"""A repeat of a running call is told to come back after as long as that has run, but between these, in seconds."""


def idempotency(method: Method, host: Host) -> ServerPolicy | None:
    """Gives a repeated call its first answer."""
    if not method.mutates:
        return None
    if host.answers is None or method.client_streaming or method.server_streaming:
        return _refusing_repeats()
    return _replaying(method, host, host.answers)


def _refusing_repeats() -> ServerPolicy:
    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        call.inbound.idempotency_key = _key(call) or ""
        return await proceed(call)

    return policy


def _replaying(method: Method, host: Host, answers: Answers) -> ServerPolicy:
    async def policy(call: ServerCall, proceed: Proceed[ServerCall, bytes | None]) -> bytes | None:
        key = _key(call)
        if key is None:
            return await proceed(call)
        inbound = call.inbound
        content = _place(inbound.principal) + call.request.SerializeToString(deterministic=True)
        context = IdempotencyContext(
            inbound.tenant_id,
            method.path,
            key,
            answers.fingerprint(content),
            method.secret_answer,
            repeat=_is_repeat(call),
        )
        owner = inbound.tenant_id or (inbound.principal.subject if inbound.principal else "")
        running = (owner, method.path, key)
        if running in host.in_progress:
            raise _in_progress(host.clock.monotonic() - host.in_progress[running])
        host.in_progress[running] = host.clock.monotonic()
        try:
            answer = await answers.find(context)
            if answer is not None:
                call.add_trailers((headers.REPLAYED, "1"))
                return answer
            inbound.idempotency = context
            reply = await proceed(call)
            # As it was stored: a repeat must get the same bytes.
            return context.answer if context.answer is not None else reply
        finally:
            # What a handler has shielded goes on without it: until that has ended, a repeat would do it once more.
            after_shielded(inbound, partial(host.in_progress.pop, running))

    return policy


def _key(call: ServerCall) -> str | None:
    """The call's idempotency key, or None.

    Raises:
        ServiceError: it is no key; or there is none, and the call says of itself that it is a repeat.
    """
    key = call.metadata.get(headers.IDEMPOTENCY_KEY)
    if key is None:
        if _is_repeat(call):
            # Sent by gRPC's own retries (gRFC A6), which follow the service config and know nothing of keys.
            raise platform_error(
                grpc.StatusCode.FAILED_PRECONDITION,
                "IDEMPOTENCY_KEY_MISSING",
                "a change that is repeated needs an idempotency key: the first attempt may have done it",
            )
        return None
    if not isinstance(key, str) or not headers.is_plain(key):
        raise platform_error(
            grpc.StatusCode.INVALID_ARGUMENT,
            "IDEMPOTENCY_KEY_INVALID",
            "an idempotency key is 1 to 128 visible ASCII characters",
        )
    if refusable(key):
        # Keys are stored as they are.
        raise platform_error(
            grpc.StatusCode.INVALID_ARGUMENT,
            "CARD_NUMBER_REFUSED",
            "the idempotency key holds a card number or a check value",
            field=headers.IDEMPOTENCY_KEY,
        )
    return key


def _is_repeat(call: ServerCall) -> bool:
    return call.metadata.get(headers.PREVIOUS_ATTEMPTS, "0") != "0"


def _in_progress(running_s: float) -> ServiceError:
    shortest_s, longest_s = COME_BACK_S
    return platform_error(
        grpc.StatusCode.ABORTED,
        "IN_PROGRESS",
        "a call with this idempotency key is running",
        # Waits that double: a long first call is not asked for its answer hundreds of times.
        retry_after_s=min(longest_s, max(shortest_s, running_s)),
    )


def _place(principal: Principal | None) -> bytes:
    """What a request means depends on where it comes from: a till's store and terminal stand in its token only."""
    if principal is None:
        return b""
    return f"{principal.kind}\n{principal.store_code}\n{principal.terminal_no}\n".encode()
